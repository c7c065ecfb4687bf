"""x as a tuple or a dict: the network's positional or keyword arguments, through everything that takes x."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyro
import pytest
import torch
from pyro.distributions import Normal
from pyro.infer import MCMC, NUTS, SVI, Predictive, Trace_ELBO
from torch import Tensor, nn

import bayesreg as br
from bayesreg import structure
from bayesreg.curvature import Share, curvature, outputs_and_curvature
from bayesreg.datasets import Windows
from bayesreg.model import to_unit
from bayesreg.objective import Gradient, Objective
from bayesreg.threads import flops

N, CLASSES = 12, 4


class Two(nn.Module):
    """Of numbers [B, 3] and a category [B]."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.body = nn.Embedding(CLASSES, 2), br.nets.mlp(5, 1, hidden=4)

    def forward(self, numbers: Tensor, category: Tensor) -> Tensor:
        return self.body(torch.cat([numbers, self.embedding(category)], 1))


class One(Two):
    """The same of one tensor [B, 4], the category last."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x[:, :3], x[:, 3].long())


def made(kind: type[nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind().double()


def inputs(n: int = N) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    numbers = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return numbers, torch.randint(0, CLASSES, (n,), generator=generator)


NUMBERS, CATEGORY = inputs()
Y = NUMBERS.sum(1) + CATEGORY
WAYS = {
    "tuple": (Two, (NUMBERS, CATEGORY)),
    "dict": (Two, {"category": CATEGORY, "numbers": NUMBERS}),  # by name, in whatever order
    "one": (One, torch.cat([NUMBERS, CATEGORY[:, None].double()], 1)),
}
PRIORS = [*br.priors.PRIORS, "l2+entropic:0.1"]


def model(way: str, prior: str = "l2:1e-2") -> tuple[br.Model, br.Dataset]:
    kind, x = WAYS[way]
    return br.Model(made(kind), prior, br.Gaussian(), size=N), br.Dataset(x, Y)


@pytest.mark.parametrize("guide", ["delta", "normal"])
@pytest.mark.parametrize("prior", PRIORS)
def test_a_fit_equals_that_on_one_concatenated_tensor(prior: str, guide: str) -> None:
    """The smoothness prior too: what rounds a category has no curvature in it."""
    found = {}
    for way in WAYS:
        fitted, data = model(way, prior)
        posterior = br.fit(fitted, data, guide=guide, epochs=3, batch_size=5, validation=data, progress=False)
        history = posterior.history.drop(columns="seconds").to_numpy(float)
        mean = posterior.predict(data.x, draws=3).mean
        found[way] = history, np.array(list(posterior.evaluate(data, draws=3).values())), mean.numpy()
    for way in ("tuple", "dict"):
        for ours, theirs in zip(found[way], found["one"], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("prior", "guide"), [("ard", "normal"), ("smoothness", "delta")])
@pytest.mark.parametrize("way", ["tuple", "dict"])
def test_captured_equals_plain(way: str, prior: str, guide: str) -> None:
    fitted, data = model(way, prior)
    gradient = Gradient(Objective(fitted, br.guides.create(guide, fitted)))
    assert gradient.prepare(data.x, data.y).startswith("captured")
    results = []
    for run in (gradient, gradient.plain):
        torch.manual_seed(0)
        results.append([t.clone() for t in run(data.x, data.y)])
    for captured, plain in zip(*results, strict=True):
        torch.testing.assert_close(captured, plain, rtol=1e-12, atol=1e-12)


def test_a_graph_is_of_one_order_of_keys() -> None:
    """As an augmentation may give them back: two of one shape and type must not change places."""

    class Difference(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(1))

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return self.w * (a - 2 * b)

    x = {"a": torch.ones(4, 1), "b": torch.zeros(4, 1)}
    fitted = br.Model(Difference(), br.Flat(), br.Gaussian(scale=1.0), size=4)
    gradient = Gradient(Objective(fitted, br.guides.delta(fitted)))
    gradient.prepare(x, torch.zeros(4))
    turned = {"b": x["b"], "a": x["a"]}
    torch.testing.assert_close(gradient(turned, torch.zeros(4))[0].clone(), gradient(x, torch.zeros(4))[0])


def test_of_pyro() -> None:
    """log_joint, SVI, NUTS and Predictive take the tuple or dict as the one argument that x is."""
    joints, losses = [], []
    for way in WAYS:
        fitted, data = model(way)
        joints.append(fitted.log_joint(fitted.unpack(fitted.initial()), data.x, data.y).item())
        with pyro.settings.context(module_local_params=True):
            svi = SVI(fitted, br.guides.delta(fitted), pyro.optim.Adam({"lr": 1e-3}), Trace_ELBO())
            losses.append(svi.step(data.x, data.y))
    assert joints == pytest.approx([joints[0]] * 3, rel=1e-12)
    assert losses == pytest.approx([-joints[0]] * 3, rel=1e-12)
    fitted, data = model("dict")
    mcmc = MCMC(NUTS(fitted, max_tree_depth=1), num_samples=2, warmup_steps=1, disable_progbar=True)
    mcmc.run(data.x, data.y)
    assert Predictive(fitted, mcmc.get_samples())(data.x)["y"].shape == (2, N)


class Smooth(nn.Module):
    """Of two inputs in floating point, [B, 2, 2] and [B], and one of whole numbers that scales."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))

    def forward(self, grid: Tensor, level: Tensor, times: Tensor) -> Tensor:
        z = torch.cat([grid.flatten(1), level[:, None]], 1)
        return self.body(z) * times[:, None] + (grid.sum((1, 2)) * level)[:, None] ** 2


def grids(n: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(2)
    draw = [torch.randn(n, *shape, generator=generator, dtype=torch.float64) for shape in ((2, 2), ())]
    return {"grid": draw[0], "times": torch.arange(n) % 3, "level": draw[1]}


def brute_force(net: nn.Module, x: dict[str, Tensor]) -> Tensor:
    """d of each example, from whole Hessians."""
    found = []
    for i in range(len(x["level"])):
        z = torch.cat([x["grid"][i].reshape(-1), x["level"][i : i + 1]])

        def output(z: Tensor, c: int, i: int = i) -> Tensor:
            return net(z[:4].reshape(1, 2, 2), z[4:], x["times"][i : i + 1])[0, c]

        each = [torch.autograd.functional.hessian(lambda z, c=c: output(z, c), z) for c in range(2)]
        found.append(sum(hessian.diagonal().square().sum() for hessian in each))
    return torch.stack(found)


def test_curvature_is_of_all_inputs_in_floating_point_together() -> None:
    net, x = made(Smooth), grids(4)
    expected = brute_force(net, x)
    call = lambda x: net(**x)  # noqa: E731
    torch.testing.assert_close(curvature(call, x), expected, rtol=1e-8, atol=1e-10)
    torch.manual_seed(3)
    outputs, some = outputs_and_curvature(call, x, Share(0.5))
    torch.manual_seed(3)
    torch.testing.assert_close(some, expected[torch.randperm(4)[:2]], rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(outputs, net(**x))


def test_one_coordinate_of_all_inputs_is_unbiased() -> None:
    net, one = made(Smooth), structure.rows(grids(3), slice(2, 3))
    many = structure.mapped(lambda leaf: leaf.expand(4000, *leaf.shape[1:]), one)
    torch.manual_seed(0)
    estimates = curvature(lambda x: net(**x), many, coordinates=1)
    values = estimates.round(decimals=6).unique()
    assert len(values) == 5  # D of them, each D q_k
    torch.testing.assert_close(values.mean(), brute_force(net, one)[0], rtol=1e-5, atol=1e-5)
    assert abs(estimates.mean() - values.mean()) < 4 * estimates.std() / 4000**0.5


class Masked(nn.Module):
    """Attention over token ids [B, T], of which `mask` is True where there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(6, 4)
        self.attention, self.out = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 2)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        h = self.embedding(ids)
        h = self.attention(h, h, h, key_padding_mask=mask, need_weights=False)[0]
        return self.out(h.masked_fill(mask[..., None], 0).sum(1))


@pytest.mark.parametrize("prior", ["l1", "smoothness"])
def test_token_ids_and_a_mask(prior: str) -> None:
    """What the mask hides plays no part, so booleans arrive as booleans; the smoothness prior is of the embeddings."""
    ids = torch.tensor([[1, 2, 3], [4, 0, 0], [2, 2, 0], [1, 5, 0]])
    x = {"ids": ids, "mask": (ids == 0).numpy()}
    data = br.Dataset(x, torch.tensor([0, 1, 1, 0]))
    assert data.x["mask"].dtype == torch.bool
    fitted = br.Model(made(Masked).float(), prior, br.Categorical(), size=4)
    posterior = br.fit(fitted, data, epochs=8, batch_size=4, progress=False)
    assert posterior.history["loss"].iloc[-1] < posterior.history["loss"].iloc[0]
    hidden = {"ids": ids + 5 * (ids == 0), "mask": x["mask"]}
    torch.testing.assert_close(posterior.predict(hidden).probs, posterior.predict(data.x).probs)
    seen = {"ids": ids, "mask": torch.zeros(4, 3, dtype=torch.bool)}
    assert not torch.allclose(posterior.predict(seen).probs, posterior.predict(data.x).probs, atol=1e-4)


class Conditional(nn.Module):
    """Latents of each example, given two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(2, 1), nn.Linear(2, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.decoder(torch.cat([self.encoder(torch.cat([a, b], 1)), b], 1))

    def model(self, a: Tensor, b: Tensor) -> Tensor:
        z = pyro.sample("z", Normal(torch.zeros_like(a), 1.0).to_event(1))
        return self.decoder(torch.cat([z, b], 1))

    def guide(self, a: Tensor, b: Tensor) -> None:
        pyro.sample("z", Normal(self.encoder(torch.cat([a, b], 1)), 0.5).to_event(1))


class OfOneTensor(Conditional):
    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x[:, :1], x[:, 1:])

    def model(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().model(x[:, :1], x[:, 1:])

    def guide(self, x: Tensor) -> None:  # type: ignore[override]
        super().guide(x[:, :1], x[:, 1:])


@pytest.mark.parametrize("guide", ["delta", "normal"])
def test_latents_of_each_example(guide: str) -> None:
    a, b = NUMBERS[:, :1], NUMBERS[:, 1:2]
    losses = []
    for kind, x in ((Conditional, {"b": b, "a": a}), (OfOneTensor, torch.cat([a, b], 1))):
        fitted = br.Model(made(kind), "l2", br.Gaussian(scale=1.0), size=N)
        losses.append(br.fit(fitted, (x, Y), guide=guide, epochs=3, batch_size=5, progress=False).history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-12)


def test_a_dataset_of_several() -> None:
    table = pd.DataFrame({"u": [1.0, 2.0, 3.0], "v": [4, 5, 6]})
    data = br.Dataset({"t": table, "n": np.arange(3, dtype=np.int32)}, [0.0, 1.0, 2.0])
    assert repr(data) == "Dataset(x: {t: float32 [3, 2], n: int64 [3]}, y: float32 [3])"
    assert len(data) == 3
    two = data.take([2, 0])
    assert (two.x["t"].tolist(), two.x["n"].tolist(), two.y.tolist()) == ([[3, 6], [1, 4]], [2, 0], [2, 0])
    assert torch.equal(data.to("cpu").x["t"], data.x["t"])
    pair = br.Dataset((data.x["t"], data.x["n"]), data.y)
    assert len({d.sha256() for d in (data, pair, two, br.Dataset({"n": data.x["n"], "t": data.x["t"]}, data.y))}) == 4
    assert br.Dataset(dict(data.x), data.y).sha256() == data.sha256()
    batches = list(data.batches(2, torch.tensor([1, 0, 2])))
    assert [(x["n"].tolist(), y.tolist()) for x, y in batches] == [([1, 0], [1, 0]), ([2], [2])]
    windows = Windows(torch.arange(8.0)[:, None], torch.tensor([2, 4, 7]), 3)
    both = br.Dataset((windows, data.x["n"]), data.y).take([0, 2])
    assert isinstance(both.x[0], Windows)
    assert both.batch(slice(1, 2))[0][0].flatten().tolist() == [5, 6, 7]


def test_split_together() -> None:
    x = {"a": np.arange(40.0)[:, None], "k": np.arange(40)}
    data = br.Data.split(x, np.arange(40.0))
    for part in (data.train, data.validation, data.test):
        assert torch.equal(part.x["a"][:, 0], part.y)
        assert torch.equal(part.x["k"].float(), part.y)
    assert data.features == {"a": (1,), "k": ()}
    assert torch.equal(data.take_train(5).train.x["k"].float(), data.take_train(5).train.y)
    scaled = br.Data.split(x, np.arange(40.0), scale=True)
    assert torch.equal(scaled.train.x["k"], data.train.x["k"])
    mean, sd = data.train.y.mean(), data.train.y.std(correction=0)
    torch.testing.assert_close(scaled.test.x["a"][:, 0], (data.test.y - mean) / sd)
    torch.testing.assert_close(scaled.transform(x)["a"][:, 0], (torch.arange(40.0) - mean) / sd)


def test_images_of_bytes_beside_numbers() -> None:
    x = (torch.full((2, 1, 2, 2), 255, dtype=torch.uint8), torch.ones(2, 1))
    assert [leaf.max().item() for leaf in to_unit(x)] == [1.0, 1.0]


def test_an_augmentation_takes_it_as_given() -> None:
    seen: list[Any] = []

    def shift(x: dict[str, Tensor]) -> dict[str, Tensor]:
        seen.append(set(x))
        return x | {"numbers": x["numbers"] + 1}

    fitted = br.Model(made(Two), "l2", br.Gaussian(scale=1.0), size=N)
    x = WAYS["dict"][1]
    shifted = x | {"numbers": NUMBERS + 1}
    options: dict[str, Any] = {"epochs": 2, "batch_size": 5, "progress": False}
    losses = [br.fit(fitted, (x, Y), augment=shift, **options), br.fit(fitted, (shifted, Y), **options)]
    assert {"numbers", "category"} in seen
    assert losses[0].history["loss"].tolist() == losses[1].history["loss"].tolist()


def test_goes_on_from_a_checkpoint_of_the_same_inputs_alone(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(br.fit.__globals__, "SAVED_EVERY", 0.0)
    path, options = tmp_path / "checkpoint.pt", {"epochs": 4, "batch_size": 5, "progress": False}
    fitted, data = model("dict")
    whole = br.fit(fitted, data, **options)
    calls: list[int] = []  # a fit's identity knows of it that it is a list

    def stop(x: Any) -> Any:
        calls.append(0)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return x

    with pytest.raises(KeyboardInterrupt):
        br.fit(fitted, data, augment=stop, checkpoint=path, **options)
    other = br.Dataset(data.x | {"category": CATEGORY.flip(0)}, Y)
    with pytest.raises(ValueError, match="another training data"):
        br.fit(fitted, other, augment=stop, checkpoint=path, **options)
    again = br.fit(fitted, data, augment=stop, checkpoint=path, **options)
    assert again.history["loss"].tolist() == whole.history["loss"].tolist()


def test_counts_its_work() -> None:
    fitted, data = model("tuple")
    assert flops(fitted, data.x) == flops(*(lambda m, d: (m, d.x))(*model("one"))) > 0


REFUSED = {
    "unequal": (lambda: br.Dataset((NUMBERS, CATEGORY[:5]), Y), r"x\[1\] has 5 rows and y has 12: give one y for each"),
    "rows in a tuple": (lambda: br.Dataset(tuple(NUMBERS), Y), r"x\[0\] has 3 rows and y has 12.*belong in a list"),
    "text": (lambda: br.Dataset({"a": NUMBERS, "b": ["u"] * N}, Y), r"x\['b'\]\[0\] is 'u', not a number"),
    "not finite": (lambda: br.Dataset((NUMBERS / 0, CATEGORY), Y), r"x\[0\]\[0, 0\] is .*inf"),
    "names": (lambda: br.Dataset({"a b": NUMBERS}, Y), r"the keys \['a b'\]: name the arguments"),
    "a misspelt key": (
        lambda: fitted_on({"numbers": NUMBERS, "categor": CATEGORY}),
        r"^the network's forward takes \(numbers, category\), x has keys numbers, categor$",
    ),
    "one too many": (
        lambda: fitted_on((NUMBERS, CATEGORY, CATEGORY)),
        r"^the network's forward takes \(numbers, category\), x is a tuple of 3$",
    ),
    "one for two": (
        lambda: fitted_on(NUMBERS),
        r"^the network's forward takes \(numbers, category\), x is one tensor$",
    ),
    "shape": (
        lambda: fitted_on((NUMBERS[:, :2], CATEGORY)),
        r"does not take x \(float64 \[8, 2\], int64 \[8\]\): ",
    ),
    "prediction": (
        lambda: br.fit(*model("tuple"), epochs=1, progress=False).predict((NUMBERS,)),
        r"forward takes \(numbers, category\), x is a tuple of 1$",
    ),
    "validation": (
        lambda: br.fit(*model("tuple"), epochs=1, validation=(NUMBERS, Y)),
        r"^validation: the network's forward takes",
    ),
    "guide of one input": (
        lambda: fitted_on((NUMBERS, CATEGORY), GuideOfOne),
        r"GuideOfOne.guide takes \(numbers\), x",
    ),
    "tokens without embeddings": (
        lambda: fitted_on((CATEGORY, CATEGORY), OneHot, "smoothness"),
        r"curvature needs floating point x \[B, ...\], or tokens for nn.Embedding, got \(int64 \[8\], int64 \[8\]\)",
    ),
    "scaled windows": (
        lambda: br.Data.split(
            (Windows(torch.ones(20, 1), torch.arange(2, 18), 3), np.ones(16)), np.arange(16.0), scale=True
        ),
        "scale=True standardises arrays and tensors in memory, no Windows",
    ),
    "scaled categories": (
        lambda: br.Data.split({"k": np.arange(40)}, np.arange(40.0), scale=True),
        r"none of \[\"x\['k'\]\"\] is such",
    ),
    "other inputs than train's": (
        lambda: br.Data.split({"k": np.arange(40.0)}, np.arange(40.0)).transform({"a": np.ones(3)}),
        r"x has the inputs \('a',\), and those of train were \('k',\)",
    ),
}


class GuideOfOne(Two):
    def model(self, numbers: Tensor, category: Tensor) -> Tensor:
        return self(numbers, category) + pyro.sample("z", Normal(torch.zeros(len(numbers)), 1.0))[:, None]

    def guide(self, numbers: Tensor) -> None:
        pyro.sample("z", Normal(torch.zeros(len(numbers)), 1.0))


class OneHot(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(CLASSES, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.last(nn.functional.one_hot(a, CLASSES).double()).tanh()


def fitted_on(x: Any, kind: type[nn.Module] = Two, prior: str = "l2") -> None:
    br.fit(br.Model(made(kind), prior, br.Gaussian(scale=1.0), size=N), (x, Y), epochs=1, batch_size=N, progress=False)


@pytest.mark.parametrize("what", REFUSED)
def test_refused_with_what_to_write(what: str) -> None:
    call, message = REFUSED[what]
    with pytest.raises((ValueError, TypeError), match=message):
        call()
