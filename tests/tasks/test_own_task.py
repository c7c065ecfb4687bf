"""A task of the user's own: what it accepts, what it makes of it, and what it refuses before training."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import bayesreg as br
from bayesreg.grid import Repeat, Run
from bayesreg.methods import Method

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3)).astype("float32")
NUMBERS = (X[:, 0] + rng.normal(size=40)).astype("float32")
CLASSES = np.arange(40) % 2


def net():
    return nn.Sequential(nn.Linear(3, 4), nn.SiLU(), nn.Linear(4, 1))


def weights(task, seed=0):
    torch.manual_seed(seed)
    return {name: value.clone() for name, value in task.network(task.load()).state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


# --- What it makes of data ---


@pytest.mark.parametrize(
    "data",
    [
        (X, NUMBERS),
        (torch.tensor(X), torch.tensor(NUMBERS)),
        br.Dataset(X, NUMBERS),
        TensorDataset(torch.tensor(X), torch.tensor(NUMBERS)),
        br.Data.split(X, NUMBERS),
    ],
    ids=["arrays", "tensors", "Dataset", "TensorDataset", "Data"],
)
def test_data_of_every_kind_are_split_alike(data):
    made = br.Task(net, data).load()
    expected = br.Data.split(X, NUMBERS)
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(made, part).x, getattr(expected, part).x)


def test_likelihood_and_metric_follow_from_the_targets_unless_given():
    regression, classes = br.Task(None, (X, NUMBERS)), br.Task(None, (X, CLASSES))
    assert (regression.likelihood(), regression.metric) == (br.Gaussian(), "r2")
    assert (classes.likelihood(), classes.metric) == (br.Categorical(), "accuracy")
    given = br.Task(None, (X, NUMBERS), likelihood="heteroscedastic", metric="rmse")
    assert isinstance(given.likelihood(), br.Heteroscedastic)
    assert given.metric == given.record()["metric"] == "rmse"


def test_no_network_takes_an_mlp_for_the_data_and_for_each_fold_of_them():
    assert [list(p.shape) for p in br.Task(None, (X, CLASSES)).network(br.Data.split(X, CLASSES)).parameters()][
        ::2
    ] == [
        [64, 3],
        [64, 64],
        [2, 64],
    ]
    rare = ["a"] * 19 + ["b"] * 19 + ["c"] * 2  # a category that some folds do not train on
    table = pd.DataFrame({"kind": rare, "x": X[:, 0], "y": NUMBERS})
    task = br.Task(None, br.Data.from_table(table, target="y"))
    widths = set()
    for partition in range(4):
        for fold in range(3):
            run = Run(task, Method("none"), Repeat(0, "test", partition, fold, 3))
            run.check()
            widths.add(run.build().data.features)
    assert len(widths) > 1


# --- What it makes of a network ---


def test_a_callable_is_called_under_each_seed():
    task = br.Task(net, (X, NUMBERS))
    torch.manual_seed(3)
    assert equal(net().state_dict(), weights(task, 3))
    assert not equal(weights(task, 3), weights(task, 4))


def test_a_module_begins_anew_with_each_seed_and_stays_as_it_is():
    given = net()
    before = copy.deepcopy(given.state_dict())
    task = br.Task(given, (X, NUMBERS))
    assert not equal(weights(task, 0), before)
    assert not equal(weights(task, 0), weights(task, 1))
    assert equal(weights(task, 0), weights(task, 0))
    assert equal(given.state_dict(), before)


def test_what_is_frozen_stays():
    given = net()
    given[0].weight.requires_grad_(False)  # its bias is trained
    given[2].requires_grad_(False)
    made = weights(br.Task(given, (X, NUMBERS)))
    for name in ("0.weight", "2.weight", "2.bias"):
        assert torch.equal(made[name], given.state_dict()[name])
    assert not torch.equal(made["0.bias"], given[0].bias)


def test_a_layer_sets_what_is_in_its_parts_as_when_it_was_made():
    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.head = nn.MultiheadAttention(3, 1), nn.Linear(3, 1)

        def forward(self, x):
            return self.head(self.attention(x[:, None], x[:, None], x[:, None])[0][:, 0])

    assert not weights(br.Task(Attends(), (X, NUMBERS)))["attention.out_proj.bias"].any()


def test_a_module_that_cannot_begin_anew_is_refused_with_the_place():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x):
            return x * self.scale

    with pytest.raises(ValueError, match=r"its part '1', a Scale, has parameters and no\s+reset_parameters.*lambda"):
        br.Task(nn.Sequential(nn.Linear(3, 1), Scale()), (X, NUMBERS))
    with pytest.raises(ValueError, match="Scale itself"):
        br.Task(Scale(), (X, NUMBERS))
    br.Task(lambda: nn.Sequential(nn.Linear(3, 1), Scale()), (X, NUMBERS)).record()


# --- What tells tasks apart ---


def test_the_record_is_the_same_for_the_same_task_and_another_for_another():
    base = br.Task(net, (X, NUMBERS), epochs=3).record()
    assert br.Task(net, (X.copy(), NUMBERS.copy()), epochs=np.int64(3)).record() == base
    state = torch.random.get_rng_state()
    others = {
        "epochs": br.Task(net, (X, NUMBERS), epochs=4),
        "lr": br.Task(net, (X, NUMBERS), epochs=3, lr=0.1),
        "data": br.Task(net, (X, NUMBERS + 1), epochs=3),
        "network": br.Task(lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), (X, NUMBERS), epochs=3),
        "likelihood": br.Task(net, (X, NUMBERS), epochs=3, likelihood=br.Gaussian(scale=0.1)),
        "augment": br.Task(net, (X, NUMBERS), epochs=3, augment=lambda x: x + 0.1),
        "metric": br.Task(net, (X, NUMBERS), epochs=3, metric="mse"),
    }
    for option, task in others.items():
        record = task.record()
        assert [name for name in base if record[name] != base[name]] == [option]
    assert torch.equal(torch.random.get_rng_state(), state)


def test_weights_that_are_not_drawn_tell_tasks_apart():
    def frozen(value):
        made = net()
        nn.init.constant_(made[2].weight, value)
        made[2].weight.requires_grad_(False)
        return made

    one, same, other = (br.Task(frozen(value), (X, NUMBERS)).record()["network"] for value in (0.1, 0.1, 0.2))
    assert one == same != other


class Odd(br.Likelihood):
    """A likelihood whose repr says where it lies in memory."""

    def metrics(self, y):
        return ("nll",)

    def __call__(self, f, latents, batch_dims=1):
        raise NotImplementedError

    def check(self, f, y):
        return None


def test_where_things_lie_in_memory_does_not():
    records = [br.Task(net, (X, NUMBERS), likelihood=Odd()).record() for _ in range(2)]
    assert records[0] == records[1]


# --- Refused ---

TABLE = pd.DataFrame(X, columns=list("abc")).assign(price=NUMBERS)
kept = net()


def fresh():
    made = net()
    nn.init.constant_(made[0].weight, float(rng.normal()))  # not from PyTorch's random numbers
    return made


TOKENS = np.ones((40, 3), int)

REFUSED = {
    "no data": (lambda: br.Task(net), TypeError, "data is None"),
    "a table": (lambda: br.Task(net, TABLE), TypeError, r"br\.Data\.from_table\(table, target='price'\)"),
    "a path": (lambda: br.Task(net, "wine.csv"), TypeError, r"br\.Data\.from_table\('wine\.csv', target="),
    "a name": (lambda: br.Task(net, "digits"), TypeError, r"br\.datasets\.load\('digits'\)"),
    "a text for a network": (lambda: br.Task("mlp", (X, NUMBERS)), TypeError, "net='mlp' is a str: give a function"),
    "a class with arguments": (lambda: br.Task(nn.Linear, (X, NUMBERS)), TypeError, r"lambda: Linear\(\.\.\.\)"),
    "no network": (lambda: br.Task(lambda: 3, (X, NUMBERS)).record(), TypeError, r"net\(\) returned a int"),
    "one network": (lambda: br.Task(lambda: kept, (X, NUMBERS)).record(), ValueError, "the same module at each call"),
    "other numbers": (
        lambda: br.Task(fresh, (X, NUMBERS)).record(),
        ValueError,
        r"draws a different 0\.weight at each call.*PyTorch's",
    ),
    "tokens and no network": (
        lambda: br.Task(None, (TOKENS, CLASSES)),
        ValueError,
        "x of int64 numbers",
    ),
    "metric": (
        lambda: br.Task(net, (X, NUMBERS), metric="accuracy").metric,
        ValueError,
        "metric='accuracy' is not a metric of Gaussian",
    ),
    "likelihood": (lambda: br.Task(net, (X, NUMBERS), likelihood="gausian"), ValueError, "gaussian"),
    "augment": (lambda: br.Task(net, (X, NUMBERS), augment="flip"), TypeError, "augment='flip' is a str"),
    "name": (lambda: br.Task(net, (X, NUMBERS), name="a\nb"), ValueError, "printable"),
    "no name": (lambda: br.Task(net, (X, NUMBERS), name=""), ValueError, "printable"),
}
for option in ("epochs", "batch_size"):
    for value in (0, -1, True, 2.5):
        REFUSED[f"{option}={value}"] = (
            lambda option=option, value=value: br.Task(net, (X, NUMBERS), **{option: value}),
            ValueError,
            rf"Task\({option}={value}\)",
        )
for value in (0, -1.0, True, "fast", float("nan")):
    REFUSED[f"lr={value}"] = (lambda value=value: br.Task(net, (X, NUMBERS), lr=value), ValueError, r"Task\(lr=")


@pytest.mark.parametrize(("call", "error", "said"), REFUSED.values(), ids=REFUSED)
def test_refused(call, error, said):
    with pytest.raises(error, match=said):
        call()
