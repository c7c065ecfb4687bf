"""A second run of a network as the same function as the first: batch statistics and dropout masks held constant.

In training mode BatchNorm couples the examples of a batch, and dropout is random. The curvature is that of the
predictive function with both as they were, so the first run is taped, and the second, on some of its examples, replays
the tape.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from bayesreg.curvature.attention import attention, multi_head
from bayesreg.curvature.jet import values
from bayesreg.curvature.norms import batch_norm, normalised
from bayesreg.curvature.recurrent import THROUGH, recurrent

DROPOUTS = {F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, torch.dropout}


class NotByExample(NotImplementedError):
    """A part of the network mixes the examples with another dimension, so that none can be separated."""


class _Mode(TorchFunctionMode):
    """Sends what is random or couples examples to `batch_norm` and `dropout`, and leaves the rest alone."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm:
            return self._batch_norm(*args, **kwargs)
        if func is torch.batch_norm:
            x, weight, bias, mean, var, *rest, _ = args
            return self._batch_norm(x, mean, var, weight, bias, *rest)
        if func in DROPOUTS:
            x, p, training = _dropout(*args, **kwargs)
            return self.dropout(func, x, p) if training and p > 0 else x
        if func is F.scaled_dot_product_attention and _drops(*args, **kwargs):
            with self:
                return attention(*args, **kwargs)
        if func is F.multi_head_attention_forward and args[10] > 0 and kwargs.get("training", True):
            with self:
                out = multi_head(func, *args, **kwargs)
            if out is not NotImplemented:
                return out
        if func.__name__ in THROUGH and args[5] > 0 and args[6]:  # dropout between its layers
            with self:
                return recurrent(func, *args)
        return self.other(func, args, kwargs)

    def _batch_norm(self, x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None, training: bool = False,
                    momentum: Any = 0.1, eps: float = 1e-5) -> Any:  # fmt: skip
        if not training:
            return F.batch_norm(x, mean, var, weight, bias, False, momentum, eps)
        return self.batch_norm(x, mean, var, weight, bias, momentum, eps)

    def batch_norm(self, x: Any, mean: Any, var: Any, weight: Any, bias: Any, momentum: Any, eps: float) -> Any:
        raise NotImplementedError

    def dropout(self, func: Any, x: Any, p: float) -> Any:
        raise NotImplementedError

    def other(self, func: Any, args: Any, kwargs: Any) -> Any:
        return func(*args, **kwargs)


class Tape(_Mode):
    """Runs a network as it is. notes: the statistics of every BatchNorm, the mask of every dropout, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[Any] = []

    def batch_norm(self, x: Any, mean: Any, var: Any, weight: Any, bias: Any, momentum: Any, eps: float) -> Any:
        self.notes.append(batch_norm(x, mean, var, weight, bias, momentum, eps))
        return self.notes[-1][0]

    def dropout(self, func: Any, x: Any, p: float) -> Any:
        self.notes.append(func(torch.ones_like(x), p, True))
        return x * self.notes[-1]


class Replay(_Mode):
    """Runs it again on the examples `rows` (None: all) of `size`; buffers stay as they are.

    notes None: there was no first run, so the batch statistics are those of this one.
    """

    def __init__(self, notes: list[Any] | None, rows: Tensor | None, size: int) -> None:
        super().__init__()
        self.taped, self.rows, self.size = notes is not None, rows, size
        self.notes: Iterator[Any] = iter(notes or ())
        self.counted: list[Any] = []

    def batch_norm(self, x: Any, mean: Any, var: Any, weight: Any, bias: Any, momentum: Any, eps: float) -> Any:
        _, centre, inverse = self._next() if self.taped else batch_norm(values(x), None, None, None, None, 0.0, eps)
        return normalised(x, centre, inverse, weight, bias)

    def dropout(self, func: Any, x: Any, p: float) -> Any:
        if not self.taped:
            return x * func(torch.ones_like(values(x)), p, True)
        mask = self._next()
        if mask.shape != x.shape:
            wrong = [i for i in range(mask.dim()) if mask.shape[i] != x.shape[i]]
            if self.rows is None or len(wrong) != 1 or mask.shape[wrong[0]] != self.size:
                raise NotByExample(f"a dropout mask of shape {list(mask.shape)} for {list(x.shape)}")
            mask = mask.index_select(wrong[0], self.rows)
        return x * mask

    def other(self, func: Any, args: Any, kwargs: Any) -> Any:
        if _counts(func, args):
            self.counted.append(args)
        return func(*args, **kwargs)

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        while self.counted:  # this run does not count as another batch
            count, increment = self.counted.pop()
            count.sub_(increment)

    def _next(self) -> Any:
        try:
            return next(self.notes)
        except StopIteration:
            raise NotByExample("the network runs differently on a part of its batch") from None


class Undo(TorchFunctionMode):
    """Runs a network as it is, and undoes its writes to BatchNorm's buffers if it fails."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        written = args[1:3] if func is F.batch_norm else args[:1] if _counts(func, args) else ()
        self.before += [(t, t.clone()) for t in written if t is not None]
        return func(*args, **(kwargs or {}))

    def __exit__(self, kind: Any, *error: Any) -> None:
        super().__exit__(kind, *error)
        if kind is not None:
            for buffer, value in reversed(self.before):
                buffer.copy_(value)


def _counts(func: Any, args: Any) -> bool:
    """Whether BatchNorm counts its batches here."""
    return func is Tensor.add_ and isinstance(args[0], Tensor) and not args[0].is_floating_point()


def _dropout(x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> tuple[Any, float, bool]:
    return x, p, training


def _drops(q: Any, k: Any, v: Any, attn_mask: Any = None, dropout_p: float = 0.0, *_: Any, **__: Any) -> bool:
    return dropout_p > 0
