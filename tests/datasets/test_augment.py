"""flip_and_crop against every window of every mirrored image, cut out by hand."""

import importlib
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import bayesreg as br
from bayesreg.datasets import flip_and_crop
from bayesreg.randomness import random_stream

fit_module = importlib.import_module("bayesreg.fit")  # `bayesreg.fit` itself is the function


def windows(image, padding):
    """{(down, right, mirrored): the image as it may come out}."""
    height, width = image.shape[1:]
    padded = F.pad(image, [padding] * 4)
    shifts = itertools.product(range(2 * padding + 1), repeat=2)
    plain = {(i, j, False): padded[:, i : i + height, j : j + width] for i, j in shifts}
    return plain | {(i, j, True): window.flip(-1) for (i, j, _), window in plain.items()}


@pytest.mark.parametrize(("dtype", "shape", "padding"), [(torch.uint8, (3, 6, 5), 2), (torch.float64, (1, 3, 3), 1)])
def test_each_image_is_one_of_its_windows_and_each_window_as_likely(dtype, shape, padding):
    torch.manual_seed(0)
    x = torch.randint(1, 250, (4, *shape)).to(dtype)
    expected = [windows(image, padding) for image in x]
    draws = 150 * len(expected[0])
    seen = dict.fromkeys(expected[0], 0)
    kept = x.clone()
    for out in flip_and_crop(x.repeat(draws // 4, 1, 1, 1), padding).split(4):
        assert out.dtype == dtype
        for n, image in enumerate(out):
            (which,) = [key for key, window in expected[n].items() if torch.equal(image, window)]
            seen[which] += 1
    assert torch.equal(x, kept)
    statistic = sum((count - 150) ** 2 / 150 for count in seen.values())
    assert statistic < len(seen) + 5 * (2 * len(seen)) ** 0.5  # χ², five standard deviations


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"images \[B, C, H, W\], got x of shape \[4, 9\]"):
        flip_and_crop(torch.zeros(4, 9))


def test_fit_augments_the_training_batches_alone_and_by_the_seed():
    x = torch.randint(0, 255, (12, 1, 5, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = br.Dataset(x, torch.arange(12) % 3)
    torch.manual_seed(0)
    model = br.Model(br.nets.mlp(25, 3, 8), br.L2(), br.Categorical(), size=12)
    batches = []

    def augment(batch):
        batches.append(batch.clone())
        return flip_and_crop(batch, 1)

    options = {"epochs": 2, "batch_size": 6, "device": "cpu", "progress": False, "validation": data}
    losses = [br.fit(model, data, augment=a, **options).history["loss"].tolist() for a in (augment, augment, None)]
    assert losses[0] == losses[1] != losses[2]
    assert len(batches) == 2 * (1 + 2 * 2)  # the first to see what the step will be given
    epoch = torch.cat(batches[1:3])  # every training image once
    assert sorted(map(bytes, epoch.flatten(1).numpy())) == sorted(map(bytes, x.flatten(1).numpy()))


# --- Every method sees the same images ---


class Interrupted(Exception):
    """As by a signal."""


def network(dropout):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.SiLU(), nn.Dropout(dropout), nn.Linear(6, 3))


def augmented(prior="l2", guide="delta", dropout=0.0, stop_after=10**6, **options):
    """The batches [steps, B, 1, 4, 4] that a fit of 2 epochs of 3 steps computes with, and its losses."""
    x = torch.randint(0, 255, (12, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    prior = br.priors.parse(prior, 12, smoothness={"every": 1, "fraction": 0.5, "coordinates": 1})
    batches, stop = [], [stop_after]

    def augment(batch):
        if len(batches) == stop[0]:
            raise Interrupted
        noise = torch.empty(4, 1, 4, 4).normal_()  # as a function of a user's own may
        batches.append(flip_and_crop(batch, 1) + noise)
        return batches[-1]

    options = {"epochs": 2, "batch_size": 4, "guide": guide, "device": "cpu", "progress": False} | options
    model = br.Model(network(dropout), prior, br.Categorical(), size=12)
    try:
        posterior = br.fit(model, br.Dataset(x, torch.arange(12) % 3), augment=augment, **options)
    except Interrupted:
        return torch.stack(batches[1:]), None
    return torch.stack(batches[1:7]), posterior.history["loss"].tolist()  # what follows judges the fit


@pytest.mark.parametrize(
    "method",
    [
        {"prior": "none"},
        {"prior": "l2+smoothness"},
        {"guide": "normal"},
        {"prior": "ard+smoothness", "guide": "normal", "dropout": 0.3},
        {"dropout": 0.5},
    ],
    ids=lambda method: "-".join(map(str, method.values())),
)
def test_every_method_sees_the_same(method):
    first, losses = augmented()
    same, others = augmented(**method)
    assert torch.equal(first, same)
    assert losses != others


def test_other_seeds_epochs_and_steps_see_others():
    """Of one constant image, so that nothing but the draws can differ."""
    device, draws = torch.device("cpu"), []
    for key in itertools.product((0, 1, 2**31, -1), (0, 1, 2), (0, 1, 2)):  # seed, epoch, step
        with random_stream(device, *key):
            draws.append(torch.rand(1).item())
    assert len(set(draws)) == len(draws)
    one, other = (augmented(seed=seed)[0] for seed in (0, 1))
    assert not torch.equal(one, other)
    assert len({each.sum().item() for each in one}) == len(one)


def test_a_stream_leaves_the_random_state_as_it_was_also_when_it_fails():
    def fails():
        with random_stream(torch.device("cpu"), 1, 2, 3):
            torch.rand(7)
            raise Interrupted

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with pytest.raises(Interrupted):
        fails()
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("guide", ["delta", "normal"])
def test_captured_and_plain_see_the_same_and_do_the_same(guide, monkeypatch):
    method = {"prior": "l2+smoothness", "guide": guide, "dropout": 0.3}
    plain, losses = augmented(**method)
    monkeypatch.setattr("bayesreg.step.WORTH_CAPTURING", 0)
    captured, others = augmented(**method)
    assert torch.equal(plain, captured)
    assert losses == pytest.approx(others, rel=1e-5)


def test_a_resumed_run_sees_what_it_would_have_seen(monkeypatch, tmp_path):
    monkeypatch.setattr(fit_module, "SAVED_EVERY", 0.0)  # after every epoch, not every 20 s
    method = {"prior": "l2+smoothness", "guide": "normal", "dropout": 0.3}
    whole, losses = augmented(**method)
    first, _ = augmented(**method, stop_after=5, checkpoint=tmp_path / "c.pt")
    rest, resumed = augmented(**method, checkpoint=tmp_path / "c.pt")
    assert torch.equal(torch.cat([first[:3], rest]), whole)  # a whole epoch was kept
    assert resumed == losses
