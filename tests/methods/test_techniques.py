"""Every technique, with every guide: it is refused with a reason, or all of it works. New ones are covered too."""

import importlib
import pickle
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import bayesreg as br
from bayesreg.datasets import Data
from bayesreg.methods import TECHNIQUES, Technique
from bayesreg.methods.adamw import AdamW
from bayesreg.methods.augmentation import Augmentation
from bayesreg.step import Step

module = importlib.import_module("bayesreg.fit")
N, EPOCHS = 24, 4


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.SiLU(), nn.Flatten(), nn.Linear(48, 3)
        )


def images(seed=0, n=N):
    g = torch.Generator().manual_seed(seed)
    return br.Dataset(torch.randn(n, 1, 4, 4, generator=g), torch.randint(0, 3, (n,), generator=g))


def data(train=None):
    train = train or images()
    return Data("made", train, images(1), images(2), 3, "a class", {})


def fitted(method, seed=0, net=None, **options):
    method = br.Method.parse(method) if isinstance(method, str) else method
    model = br.Model(method.network(net or network()), method.prior(N), method.likelihood(br.Categorical()), size=N)
    options = {"epochs": EPOCHS, "batch_size": 10, "lr": 0.05, "device": "cpu", "progress": False} | options
    options |= method.training() | {"seed": seed, "guide": method.guide, "validation": images(1)}
    return br.fit(model, images(), **options)


def numbers(posterior):
    return torch.cat([value.flatten() for value in posterior.parameters().values()])


REFUSED = {"adamw": "normal", "lasso": "normal"}
EVERY = [f"{name}@{guide}" for name in TECHNIQUES for guide in ("delta", "normal")]
METHODS = [text for text in EVERY if REFUSED.get(text.split("@")[0]) != text.split("@")[1]]


@pytest.mark.parametrize(
    "text", [*METHODS, "dropout+l2+label_smoothing", "smoothness+dropout", "ard+mc_dropout@normal"]
)
def test_what_is_not_refused_works(text, tmp_path):
    method = br.Method.parse(text).candidates[0]
    net = network()
    method.check(net, br.Categorical(), data())
    posterior = fitted(method)
    judged = posterior.evaluate(images(2))
    assert judged == posterior.evaluate(images(2))
    assert posterior.history.loss.notna().all()
    assert posterior.parameters().keys() >= dict(net.named_parameters()).keys()  # the names of the user's network
    again = br.Posterior.load(posterior.save(tmp_path / "posterior.pt"), method.network(network(seed=1)))
    assert again.evaluate(images(2)) == judged
    assert str(again.convergence) == str(posterior.convergence)
    assert again.model.likelihood == posterior.model.likelihood
    assert all(map(torch.equal, net.parameters(), network().parameters()))
    assert pickle.loads(pickle.dumps(method)) == method


@pytest.mark.parametrize("text", sorted(set(EVERY) - set(METHODS)))
def test_what_is_refused_says_why(text):
    with pytest.raises(ValueError, match=r"changes weights that are points.*use the guide delta"):
        br.Method.parse(text).check(network(), br.Categorical(), data())
    with pytest.raises(ValueError, match="changes weights that are points"):
        fitted(text)


@pytest.mark.parametrize("name", TECHNIQUES)
def test_every_technique_is_documented_by_its_source(name):
    assert re.search(r"\(\d{4}\)", TECHNIQUES[name].__doc__)
    assert TECHNIQUES[name].name == name


class Interrupted(Exception):
    """As by a signal."""


@pytest.mark.parametrize("text", ["early_stopping", "early_stopping@normal", "adamw+l2", "lasso+dropout", "mc_dropout"])
@pytest.mark.parametrize("after", [1, 3])
def test_resumes_bit_for_bit(text, after, tmp_path, monkeypatch):
    path, epoch = tmp_path / "c.pt", module._Run.epoch

    def interrupt(self, *args):
        if len(self.history) == after:
            raise Interrupted
        return epoch(self, *args)

    monkeypatch.setattr(module, "SAVED_EVERY", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(module._Run, "epoch", interrupt)
        with pytest.raises(Interrupted):
            fitted(text, checkpoint=path)
    assert path.exists()
    with pytest.raises(ValueError, match="is the checkpoint of another fit"):
        fitted("none" if "early" in text else "dropout:0.123", checkpoint=path)
    resumed, whole = fitted(text, checkpoint=path), fitted(text)
    assert torch.equal(numbers(resumed), numbers(whole))
    assert resumed.evaluate(images(2)) == whole.evaluate(images(2))
    columns = [name for name in whole.history if name != "seconds"]
    assert resumed.history[columns].equals(whole.history[columns])
    assert str(resumed.convergence) == str(whole.convergence)


def test_dropout_of_another_probability_is_another_fit(tmp_path):
    models = [br.Model(br.Method(f"dropout:{p}").network(network()), "none", "categorical", N) for p in (0.1, 0.2)]
    one, other = (br.checkpoint._identity(model, images(), None, None) for model in models)
    assert one["network"] != other["network"]


# --- Methods are paired ---


def test_every_method_of_a_seed_has_the_same_start_batches_and_augmentation(monkeypatch):
    seen = {}

    def jitter(x):
        return x + torch.randn(len(x), 1, 1, 1)

    def watch(self, x, y):
        return seen[self.label].append((x.clone(), y.clone())) or call(self, x, y)

    call = Step.__call__
    monkeypatch.setattr(Step, "__call__", watch)
    for text in (*METHODS, "l2", "ard@normal", "smoothness", "l2+dropout"):
        Step.label, seen[text] = text, []
        posterior = fitted(text, seed=3, augment=jitter) if "augmentation" not in text else None
        if posterior is None:
            fitted(br.Method(Augmentation(jitter), guide=text.split("@")[1]), seed=3)
        method = br.Method.parse(text)
        start = br.Model(method.network(network()), method.prior(N), br.Categorical(), size=N)
        start = torch.cat([p.flatten() for p in start.net.parameters()])
        seen[text].append((start, start))
    del Step.label
    first = seen["l2"]
    assert len(first) == EPOCHS * 3 + 1
    for text, batches in seen.items():
        assert len(batches) == len(first), text
        for (x, y), (other_x, other_y) in zip(batches, first, strict=True):
            assert torch.equal(x, other_x)
            assert torch.equal(y, other_y)


# --- Dropout ---


def ran(net, x, training=True):
    torch.manual_seed(5)
    return net.train(training)(x)


@pytest.mark.parametrize("name", ["dropout", "mc_dropout"])
def test_in_training_inputs_of_every_layer_but_the_first_are_dropped(name):
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 2))
    made = br.Method(f"{name}:0.4").network(net)
    x = torch.randn(7, 4)
    torch.manual_seed(5)
    h = F.dropout(net[1](net[0](x)), 0.4)
    expected = net[4](F.dropout(net[3](net[2](h)), 0.4))
    assert torch.equal(ran(made, x), expected)
    assert torch.equal(ran(net, x), ran(net, x, training=False))  # the user's stays as it was
    assert torch.equal(ran(made, x, training=False), net(x))
    assert [n for n, _ in made.named_parameters()] == [n for n, _ in net.named_parameters()]
    assert list(made.state_dict()) == list(net.state_dict())


class Named(nn.Module):
    """Calls its second layer by keyword."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 2)

    def forward(self, x):
        return self.b(input=self.a(x))


def test_a_layer_that_is_called_by_keyword_drops_too():
    net, x = Named(), torch.randn(7, 4)
    torch.manual_seed(5)
    expected = net.b(F.dropout(net.a(x), 0.4))
    assert torch.equal(ran(br.Method("dropout:0.4").network(net), x), expected)


TOKENS = torch.randint(0, 5, (6, 7), generator=torch.Generator().manual_seed(0))
OWN = {
    "bilstm": (lambda: br.nets.bilstm(5, 3, 4, 4, dropout=0.0), TOKENS),
    "transformer": (lambda: br.nets.transformer(4, 3, 8, 1, 2), torch.randn(6, 7, 4)),
    "resnet18": (lambda: br.nets.resnet18(3, width=2, channels=1), torch.randn(6, 1, 8, 8)),
    "lstm": (lambda: br.nets.lstm(4, 3, 5), torch.randn(6, 7, 4)),
    "deep lstm": (lambda: br.nets.lstm(4, 3, 5, layers=2), torch.randn(6, 7, 4)),
    "mlp": (lambda: br.nets.mlp(4, 3, 5), torch.randn(6, 4)),
}


@pytest.mark.parametrize("name", OWN)
def test_every_network_drops_in_training_and_mc_dropout_in_prediction_too(name):
    make, x = OWN[name]
    net = make().eval()
    for text, in_prediction in (("dropout:0.5", False), ("mc_dropout:0.5", True)):
        made = br.Method(text).network(net)
        made.train()
        assert not torch.equal(made(x), made(x))
        br.network.to_predict(made)
        with torch.no_grad():
            assert torch.equal(made(x), made(x)) != in_prediction
        assert br.network.is_random(made) == in_prediction
    assert torch.equal(net(x), net(x))


def test_a_lazy_transformer_of_pytorchs_own_takes_no_shortcut_without_dropout():
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
    net = nn.Sequential(nn.TransformerEncoder(layer, 1), nn.Flatten(), nn.Linear(24, 2))
    made, x = br.Method("mc_dropout:0.5").network(net), torch.randn(6, 3, 8)
    br.network.to_predict(made)
    with torch.no_grad():
        assert not torch.equal(made(x), made(x))


def test_mc_dropout_predicts_the_mean_over_masks(tmp_path):
    """Against a loop: the mean of the probabilities over forward passes in which the masks are drawn anew."""
    method = br.Method("mc_dropout:0.5")
    posterior = fitted(method, epochs=20)
    x, net = images(2).x, method.network(network())
    net.load_state_dict(posterior.model.net.state_dict() | posterior.parameters())
    br.network.to_predict(net)
    assert not net[1].training  # BatchNorm predicts as ever
    with torch.no_grad():
        passes = torch.stack([net(x).softmax(-1) for _ in range(500)])
    ours = posterior.predict(x, draws=500).probs
    torch.testing.assert_close(ours, passes.mean(0), rtol=0, atol=0.06)
    assert (passes.std(0) > 0.05).any()
    assert "draws" in repr(posterior.predict(x)) or "Categorical" in repr(posterior.predict(x))
    assert torch.equal(posterior.predict(x, seed=1).probs, posterior.predict(x, seed=1).probs)
    assert not torch.equal(posterior.predict(x, seed=1).probs, posterior.predict(x, seed=2).probs)
    assert not torch.equal(posterior.predict(x, draws=1).probs, posterior.predict(x, draws=2).probs)
    state = torch.get_rng_state()
    posterior.predict(x)
    assert torch.equal(state, torch.get_rng_state())


def test_mc_dropout_is_loaded_into_a_network_that_drops(tmp_path):
    saved = fitted("mc_dropout:0.5").save(tmp_path / "posterior.pt")
    with pytest.raises(ValueError, match="stays random in prediction"):
        br.Posterior.load(saved, network())
    plain = fitted("l2").save(tmp_path / "plain.pt")
    with pytest.raises(ValueError, match="stays random in prediction"):
        br.Posterior.load(plain, br.Method("mc_dropout:0.5").network(network()))


# --- What has no meaning ---


def table(y=None):
    g = torch.Generator().manual_seed(0)
    return br.Dataset(torch.randn(N, 4, generator=g), torch.randn(N, generator=g) if y is None else y)


@pytest.mark.parametrize(
    ("text", "net", "likelihood", "train", "words"),
    [
        ("dropout", nn.Linear(4, 1), br.Gaussian(), table(), "dropout has no meaning for Linear"),
        ("mc_dropout", nn.Linear(4, 1), br.Gaussian(), table(), "mc_dropout has no meaning for Linear"),
        ("label_smoothing", nn.Linear(4, 1), br.Gaussian(), table(), "label_smoothing has no meaning for Gaussian"),
        ("label_smoothing", nn.Linear(4, 1), br.Bernoulli(), table(torch.rand(N)), "its targets are not labels"),
        ("augmentation", nn.Linear(4, 1), br.Gaussian(), table(), r"no meaning for x of shape \[24, 4\]"),
        ("entropic+dropout", br.nets.mlp(4, 1), br.Gaussian(scale=1.0), table(), "the entropic prior does nothing"),
        ("adamw:0.1+lasso:0.1", br.nets.mlp(4, 1), br.Gaussian(), table(), r"adamw and lasso both need fit\(update"),
        ("lasso@normal", br.nets.mlp(4, 1), br.Gaussian(), table(), "the guide 'normal'"),
    ],
)
def test_refuses_what_has_no_meaning(text, net, likelihood, train, words):
    with pytest.raises(ValueError, match=words):
        br.Method.parse(text).check(net, likelihood, data(train))


def test_early_stopping_needs_validation():
    class NoValidation:
        train, validation = images(), None

    with pytest.raises(ValueError, match="needs validation data"):
        br.Method("early_stopping").check(network(), br.Categorical(), NoValidation())
    model = br.Model(network(), "none", "categorical", N)
    for wrong in ({"early_stopping": True}, {"early_stopping": 3, "validation": images(1)}):
        with pytest.raises(ValueError, match=r"fit\(early_stopping=.*validation=data.validation"):
            br.fit(model, images(), epochs=1, progress=False, **wrong)


def test_an_update_is_checked_before_training():
    model = br.Model(network(), "none", "categorical", N)
    with pytest.raises(ValueError, match=r"fit\(update=0.1\): give an Update, such as br.methods.AdamW"):
        br.fit(model, images(), update=0.1)
    with pytest.raises(ValueError, match=r"AdamW\(strength=30.0\) at lr=0.05.*below 20"):
        br.fit(model, images(), update=AdamW(30.0), lr=0.05)
    frozen = network()
    frozen.requires_grad_(False)[1].requires_grad_(True)
    with pytest.raises(ValueError, match=r"AdamW\(strength=0.1\)\) claims none of the network's parameters: 1.weight"):
        br.fit(br.Model(frozen, "none", "categorical", N), images(), update=AdamW(0.1))


@pytest.mark.parametrize("strength", [0, -0.1, 1.0, float("nan"), float("inf"), True, "0.1", None])
def test_a_strength_is_a_number_within_its_bounds(strength):
    with pytest.raises(ValueError, match="the strength"):
        br.methods.Dropout(strength)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_label_smoothing_is_a_probability(smoothing):
    with pytest.raises(ValueError, match="label_smoothing"):
        br.Categorical(label_smoothing=smoothing)


def test_what_the_likelihoods_say_of_themselves():
    assert repr(br.Categorical()) == "Categorical()"
    assert repr(br.Bernoulli(label_smoothing=0.1)) == "Bernoulli(label_smoothing=0.1)"


def test_a_smoothed_model_draws_from_the_predictive_itself():
    """Only the density of what was observed is smoothed."""
    model = br.Model(network(), "none", br.Categorical(label_smoothing=0.5), N)
    with torch.no_grad():
        torch.manual_seed(0)
        drawn = model(images().x)
        torch.manual_seed(0)
        plain = br.Model(network(), "none", br.Categorical(), N)(images().x)
    assert torch.equal(drawn, plain)


# --- Early stopping ---


def test_the_history_and_the_convergence_say_which_epoch():
    posterior = fitted("early_stopping", epochs=30)
    history = posterior.history
    best = int(history.validation_nll.idxmin()) + 1
    assert best < 30  # random labels: it overfits
    assert history.best_epoch.iloc[-1] == best
    assert [int(history.validation_nll[: e + 1].idxmin()) + 1 for e in range(30)] == list(history.best_epoch)
    assert str(posterior.convergence) == (
        f"stopped early at epoch {best} of 30, where the NLL on validation was lowest"
    )
    assert posterior.convergence.converged
    assert posterior.evaluate(images(1))["nll"] == pytest.approx(history.validation_nll.min(), rel=1e-6)


def test_where_the_last_epoch_is_best_nothing_was_stopped():
    posterior = fitted("early_stopping", epochs=2, lr=1e-4)
    assert list(posterior.history.best_epoch) == [1, 2]
    assert "stopped" not in str(posterior.convergence)


# --- One of a user's own ---


class Shifted(Technique):
    """A technique that uses every hook."""

    def network(self, net):
        return nn.Sequential(net, nn.Identity())

    def training(self):
        return {"augment": torch.neg}


def test_hooks_of_a_users_own_are_called_and_refusals_are_theirs():
    method = br.Method(Shifted, "dropout:0.1")
    assert method.name == "shifted+dropout:0.1"
    assert isinstance(method.network(network())[1], nn.Identity)
    assert method.training() == {"augment": torch.neg}
    with pytest.raises(ValueError, match="shifted and augmentation both need fit"):
        br.Method(Shifted, "augmentation").check(network(), br.Categorical(), data())
