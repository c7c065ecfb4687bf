"""The steps of a GRU, or of a plain recurrent layer, in levels, as one operation with a backward pass of its own.

    gru         r, z = σ, σ of a_t + c_t        n = tanh(a_t + r c_t)        h_t = n + z (h_{t−1} − n)
    rnn_tanh    h_t = tanh(a_t + c_t)

with a_t, what the input adds, and c_t = U h_{t−1} + b, in separate rows for r, z and n. Of the forward pass only h is
kept, and in a captured graph all steps are one node. The backward pass cannot be differentiated again: that raises
RuntimeError.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bayesreg.curvature.elementwise import Expansion, _sigmoid, _tanh
from bayesreg.curvature.levels import SPAN, Back, chain, parts, product, start


def _gru(a: Tensor, c: Tensor, h: Tensor) -> Tensor:
    """The levels of h_t, from those of a_t, c_t and h_{t−1}."""
    gates = 2 * h.shape[-1]
    r, z = _of(_sigmoid, a[..., :gates] + c[..., :gates]).chunk(2, -1)
    n = _of(_tanh, a[..., gates:] + product(r, c[..., gates:]))
    return n + product(z, h - n)


def _gru_back(a: Tensor, c: Tensor, h: Tensor) -> Back:
    """From h_t to what a and c share, r and z, to n's rows of a, to those of c, and to h_{t−1}."""
    gates = 2 * h.shape[-1]
    v, of_n = a[..., :gates] + c[..., :gates], c[..., gates:]
    r, z = _of(_sigmoid, v).chunk(2, -1)
    p = a[..., gates:] + product(r, of_n)
    n, rest = _of(_tanh, p), -z
    rest[:, 0] += 1
    to_p = _back(_tanh, p).after(Back.product(rest))
    to_r, to_z = Back.product(of_n).after(to_p), Back.product(h - n)
    to_gates = _back(_sigmoid, v).after(to_r.beside(to_z))
    return to_gates.beside(to_p).beside(Back.product(r).after(to_p)).beside(Back.product(z))


def _rnn(a: Tensor, c: Tensor, h: Tensor) -> Tensor:
    return _of(_tanh, a + c)


def _rnn_back(a: Tensor, c: Tensor, h: Tensor) -> Back:
    return _back(_tanh, a + c)


def _of(g: Any, x: Tensor) -> Tensor:
    value, slope, d2, _ = _at(g, x)
    return chain(value, slope, d2, x)


def _back(g: Any, x: Tensor) -> Back:
    _, slope, d2, d3 = _at(g, x)
    return Back.chain(slope, d2, d3, *parts(x)[1:])


def _at(g: Any, x: Tensor) -> Expansion:
    return g(x.narrow(-3, 0, 1))


# name: (h_t, its backward pass, how many of h's widths a and c share and how many each and h have to themselves)
CELLS: dict[str, Any] = {"gru": (_gru, _gru_back, 2, 1), "rnn_tanh": (_rnn, _rnn_back, 1, 0)}


@torch.library.custom_op("bayesreg::cell_steps", mutates_args=())
def steps(a: Tensor, U: Tensor, b: Tensor, h: Tensor, cell: str) -> Tensor:
    """The levels of h_t [T, L, B, H], from those of a_t [T, L, B, W], U [W, H], b [W], and h [B, H] before."""
    step, levels, hs = CELLS[cell][0], start(h, a.shape[1] // 2), []
    for each in a:
        levels = step(each, _beside(levels, U, b), levels)
        hs.append(levels)
    return torch.stack(hs)


@steps.register_fake
def _(a: Tensor, U: Tensor, b: Tensor, h: Tensor, cell: str) -> Tensor:
    return a.new_empty(*a.shape[:3], h.shape[-1])


def _beside(h: Tensor, U: Tensor, b: Tensor) -> Tensor:
    """c = U h + b; only the value has the b."""
    c = F.linear(h, U)
    c.narrow(-3, 0, 1).add_(b)
    return c


@torch.library.custom_op("bayesreg::cell_steps_back", mutates_args=())
def _steps_back(
    of_h: Tensor, a: Tensor, U: Tensor, b: Tensor, h: Tensor, hs: Tensor, cell: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients for a, U, b and h, from those for the levels of every h_t."""
    _, coefficients, shared, own = CELLS[cell]
    H = h.shape[-1]
    earlier = torch.cat([start(h, a.shape[1] // 2).unsqueeze(0), hs[:-1]])
    of_a, of_c, back = torch.empty_like(a), torch.empty_like(a), torch.zeros_like(hs[0])
    for begin in reversed(range(0, len(a), SPAN)):
        span = slice(begin, begin + SPAN)
        to_all = coefficients(a[span], _beside(earlier[span], U, b), earlier[span])
        for t in reversed(range(len(to_all.k))):
            out = to_all.at(t, (of_h[begin + t] + back).repeat(1, 1, shared + 3 * own))
            common, of_a_alone, of_c_alone, of_state = out.split([shared * H, own * H, own * H, own * H], -1)
            of_a[begin + t] = torch.cat([common, of_a_alone], -1)
            of_c[begin + t] = torch.cat([common, of_c_alone], -1)
            back = of_c[begin + t] @ U + (of_state if own else 0)
    return of_a, of_c.flatten(0, 2).t() @ earlier.flatten(0, 2), of_c[:, 0].sum((0, 1)), back[0].clone()


@_steps_back.register_fake
def _(
    of_h: Tensor, a: Tensor, U: Tensor, b: Tensor, h: Tensor, hs: Tensor, cell: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return torch.empty_like(a), torch.empty_like(U), torch.empty_like(b), torch.empty_like(h)


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    *tensors, ctx.cell = inputs
    ctx.save_for_backward(*tensors, output)


def _backward(ctx: Any, of_h: Tensor) -> Any:
    return *_steps_back(of_h, *ctx.saved_tensors, ctx.cell), None


steps.register_autograd(_backward, setup_context=_keep)
