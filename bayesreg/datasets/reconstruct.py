"""Images as their own targets, for an autoencoder."""

from __future__ import annotations

from dataclasses import replace

import torch

from .base import Data, Dataset


def reconstruct(data: Data) -> Data:
    """The same images x, with y [n, ...] the image itself, with grey values in [0, 1]; the classes are left out.

    Raises ValueError where x is not images of dtype uint8.
    """
    if not isinstance(data.train.x, torch.Tensor) or data.train.x.dtype != torch.uint8:
        raise ValueError(f"{data.name} has no uint8 images to reconstruct: use mnist, flowers or cifar10")
    train, validation, test = (Dataset(d.x, d.x.float().div_(255)) for d in (data.train, data.validation, data.test))
    target = "the image itself, in [0, 1]"
    made = replace(data, train=train, validation=validation, test=test, classes=None, target=target)
    return made.changed(again=reconstruct)
