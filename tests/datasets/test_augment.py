"""flip_and_crop against every window of every mirrored image, cut out by hand."""

import itertools

import pytest
import torch
import torch.nn.functional as F

import bayesreg as br
from bayesreg.datasets import flip_and_crop


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
    assert len(batches) == 2 * 2 * 2
    epoch = torch.cat(batches[:2])  # every training image once
    assert sorted(map(bytes, epoch.flatten(1).numpy())) == sorted(map(bytes, x.flatten(1).numpy()))
