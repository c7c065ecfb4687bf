"""A checkpoint: only the fit that it belongs to resumes from it, and nobody finds one that has ended."""

import functools
import importlib

import pytest
import torch
from torch import nn

import bayesreg as br
from bayesreg.files import Unusable

module = importlib.import_module("bayesreg.fit")
N = 24


class Interrupted(Exception):
    """As by a signal."""


@pytest.fixture(autouse=True)
def after_every_epoch(monkeypatch):
    monkeypatch.setattr(module, "SAVED_EVERY", 0.0)


def made(seed=0, width=3, activation=nn.Tanh):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, width), activation(), nn.Linear(width, 1))


def data(seed=0, n=N):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 2, generator=generator)
    return br.Dataset(x, x.sum(1))


def fit(net=None, prior=None, likelihood=None, train=None, **options):
    model = br.Model(net or made(), prior or br.L2(scale=1.0), likelihood or br.Gaussian(scale=0.5), size=N)
    defaults = {"epochs": 3, "batch_size": 8, "lr": 0.01, "device": "cpu", "progress": False}
    return br.fit(model, train or data(), **(defaults | options))


def weights(posterior):
    return torch.cat([value.flatten() for value in posterior.parameters().values()])


def scaled(x, by):
    return x * by


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """The checkpoint of a fit that was interrupted after two epochs."""
    path, epoch = tmp_path / "c.pt", module._Run.epoch

    def interrupt(self, *args):
        if len(self.history) == 2:
            raise Interrupted
        return epoch(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(module._Run, "epoch", interrupt)
        with pytest.raises(Interrupted):
            fit(checkpoint=path)
    return path


OTHERS = {
    r"lr \(0.01 there, 0.1 here\)": {"lr": 0.1},
    r"seed \(0 there, 1 here\)": {"seed": 1},
    r"epochs \(3 there, 4 here\)": {"epochs": 4},
    r"batch_size \(8 there, 4 here\)": {"batch_size": 4},
    r"guide \(delta there, normal here\)": {"guide": "normal"},
    r"bfloat16 \(False there, True here\)": {"bfloat16": True},
    "prior$": {"prior": br.L2(scale=0.5)},
    "prior, parameters of each prior$": {"prior": br.L2(scale=1.0, on="all")},
    "likelihood$": {"likelihood": br.Gaussian(scale=0.1)},
    "network$": {"net": made(activation=nn.SiLU)},
    "start of the network's weights$": {"net": made(seed=1)},
    "network, start of the network's weights$": {"net": made(width=4)},
    "training data$": {"train": data(seed=1)},
    "validation data$": {"validation": data(seed=2)},
    "augment$": {"augment": functools.partial(scaled, by=2)},
}


@pytest.mark.parametrize(("named", "options"), OTHERS.items(), ids=[name.split(" \\(")[0] for name in OTHERS])
def test_another_fit_is_refused_and_told_what_differs(interrupted, named, options):
    kept = interrupted.read_bytes()
    with pytest.raises(ValueError, match=named.replace("$", ";")) as caught:
        fit(**options, checkpoint=interrupted)
    assert str(caught.value).startswith(f"{interrupted} is the checkpoint of another fit, with another ")
    assert "delete it to begin anew" in str(caught.value)
    assert interrupted.read_bytes() == kept


def test_the_same_fit_goes_on_bit_for_bit_and_removes_what_it_went_on_from(interrupted):
    part = interrupted.with_name(".c.pt.1.part")
    part.touch()  # a write that a kill has cut short
    assert torch.equal(weights(fit(checkpoint=interrupted)), weights(fit()))
    assert list(interrupted.parent.iterdir()) == []


def test_a_function_is_known_again_in_another_process():
    """Its text holds where it lies in memory, which differs by process; so does every lambda made anew."""
    made = [br.checkpoint.without_addresses([(lambda x: x), functools.partial(scaled, by=2)]) for _ in range(2)]
    assert made[0] == made[1]
    assert "scaled" in made[0]
    assert "0x" not in made[0]


def times(by):
    return lambda x: x * by


def doubled():
    return lambda x: x * 2


def tripled():
    return lambda x: x * 3


class By:
    """An augmentation with a number of its own."""

    def __init__(self, by):
        self.by = by

    def __call__(self, x):
        return x * self.by


def test_functions_of_one_name_are_told_apart_by_what_they_do():
    def text(value):
        return br.checkpoint.without_addresses(br.checkpoint._function(value))

    by = [lambda x, by=by: x * by for by in (2, 3)]
    closed = [times(2), times(3)]
    ways = [(lambda x: x.cos()), (lambda x: x.sin())]
    pairs = [(doubled(), tripled()), by, closed, ways, (By(2), By(3)), (functools.partial(scaled, by=2), scaled)]
    for one, other in pairs:
        assert text(one) != text(other)
        assert "0x" not in text(one)
    assert text(doubled()) == text(doubled())
    assert text(By(2)) == text(By(2))


class Times(nn.Module):
    """A network whose numbers are in no parameter: one in Python, one in a buffer that is not saved."""

    def __init__(self, power=1, factor=1.0):
        super().__init__()
        self.layer, self.power = nn.Linear(2, 1), power
        self.register_buffer("factor", torch.tensor(factor), persistent=False)

    def forward(self, x):
        return self.layer(x) ** self.power * self.factor

    def get_extra_state(self):
        return {"text": "whatever"}

    def set_extra_state(self, state):
        pass


def test_networks_are_told_apart_by_all_that_is_in_them():
    def identity(**options):
        torch.manual_seed(0)
        return br.checkpoint._identity(br.Model(Times(**options), br.Flat(), br.Gaussian(), size=N), data(), None, None)

    mine = identity()
    assert identity() == mine
    assert {name for name, value in identity(power=2).items() if value != mine[name]} == {"network"}
    weights = "start of the network's weights"
    assert {name for name, value in identity(factor=2.0).items() if value != mine[name]} == {weights}


def test_a_kill_after_the_last_epoch_loses_nothing(tmp_path, monkeypatch):
    """The noise scale is put at its maximum before the last checkpoint, which has to hold it."""
    path, options = tmp_path / "c.pt", {"likelihood": br.Gaussian(), "prior": br.ARD()}

    def interrupt(*args):
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(module, "judge", interrupt)
        with pytest.raises(Interrupted):
            fit(checkpoint=path, **options)
    resumed, whole = fit(checkpoint=path, **options), fit(**options)
    assert torch.equal(weights(resumed), weights(whole))
    assert resumed.convergence == whole.convergence


def test_a_fit_that_diverged_leaves_no_checkpoint(tmp_path):
    with pytest.raises(br.Diverged):
        fit(checkpoint=tmp_path / "c.pt", lr=1e30)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"years of work", None], ids=["empty", "text", "half"])
def test_what_is_no_checkpoint_is_refused_and_kept(interrupted, content):
    content = interrupted.read_bytes()[:1000] if content is None else content
    interrupted.write_bytes(content)
    with pytest.raises(Unusable, match=r"c\.pt is not a checkpoint.*delete it to begin anew"):
        fit(checkpoint=interrupted)
    assert interrupted.read_bytes() == content
