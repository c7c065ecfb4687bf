"""Windows of a long table of measurements, cut out on demand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Windows:
    """Inputs [n, length, F] that are windows of one table: rows [R, F], the last row of each window, ends [n].

    Indexed, it gives the tensor of those windows; as a whole it takes the memory of the table, not `length` times that.
    `take` chooses windows without cutting them.

    Raises ValueError if there is none, or if one would begin before the first row or end after the last.
    """

    def __init__(self, rows: Tensor, ends: Tensor, length: int) -> None:
        self.rows, self.ends, self.length = rows, ends, length
        if len(ends) == 0:
            raise ValueError("Windows without ends are empty: give the last row of at least one")
        first, last = int(ends.min()), int(ends.max())
        if first < length - 1 or last >= len(rows):
            limits = f"{length - 1} to {len(rows) - 1}"
            raise ValueError(
                f"windows of {length} rows cannot end at rows {first} to {last} of {len(rows)}: give ends from {limits}"
            )
        self._every = rows.unfold(0, length, 1).movedim(-1, 1)  # every possible window: a view, not a copy

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: Any) -> Tensor:
        """The windows at an index, in a slice, or at indices [B]: [B, length, F]."""
        return self._every[self.ends[index] - (self.length - 1)]

    def __repr__(self) -> str:
        return f"Windows({list(self.shape)} of {len(self.rows)} rows)"

    @property
    def shape(self) -> torch.Size:
        return torch.Size([len(self.ends), self.length, *self.rows.shape[1:]])

    @property
    def dtype(self) -> torch.dtype:
        return self.rows.dtype

    @property
    def device(self) -> torch.device:
        return self.rows.device

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def dim(self) -> int:
        return self.ndim

    def is_floating_point(self) -> bool:
        return self.rows.is_floating_point()

    def split(self, size: int) -> Any:
        """The windows in order, `size` at a time: tensors [size, length, F], each cut on demand."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def take(self, indices: Any) -> Windows:
        """The windows at `indices`, or in a slice, of the same table."""
        return Windows(self.rows, self.ends[indices], self.length)

    def to(self, to: torch.device | torch.dtype | str) -> Windows:
        """The same windows on a device, or of a type."""
        rows = self.rows.to(to)
        ends = self.ends if isinstance(to, torch.dtype) else self.ends.to(to)
        return self if rows is self.rows and ends is self.ends else Windows(rows, ends, self.length)
