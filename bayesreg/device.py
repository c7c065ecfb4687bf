"""The device that a run computes on."""

from __future__ import annotations

import torch


def choose_device(name: str | None) -> torch.device:
    """The device of that name; None: a GPU where there is one. ValueError where it is not there."""
    if name in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(str(name))
        torch.zeros(1, device=device).item()  # "meta" has tensors, but no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device {name!r} is not available here ({reason}); use --device cpu") from None
    return device
