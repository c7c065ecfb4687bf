"""Attention, softmax(q kᵀ/√E) v, for the fast kernels have no second derivatives  (Vaswani et al., 2017)."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bayesreg.curvature.jet import Jet, values
from bayesreg.curvature.rules import rule


@rule("softmax log_softmax")
def _softmax(func: Any, x: Jet, dim: Any = None, *args: Any, **kwargs: Any) -> Any:
    """s' = s u and s'' = s (w − ⟨s, w⟩), where u = f' − ⟨s, f'⟩ and w = u² + f''."""
    if dim is None or not isinstance(x, Jet):
        return NotImplemented
    value, along = func(x.value, dim, *args, **kwargs), dim if dim < 0 else dim + 1
    logarithm = func.__name__ == "log_softmax"
    s = value.exp() if logarithm else value
    first = x.first().expand(-1, *x.shape)

    def centred(w: Tensor) -> Tensor:
        return w - (s * w).sum(along, keepdim=True)

    u = centred(first)
    w = u.square() if x.second is None else u.square() + x.second
    if logarithm:
        return Jet(value, lambda: u, centred(w) - u.square())
    return Jet(value, lambda: s * u, s * centred(w))


@rule("scaled_dot_product_attention")
def _sdpa(func: Any, *args: Any, **kwargs: Any) -> Any:
    return attention(*args, **kwargs)


def attention(q: Any, k: Any, v: Any, *args: Any, **kwargs: Any) -> Any:
    """As torch's scaled_dot_product_attention, in elementary functions; of tensors or of Jets."""
    return attention_weights(q, k, *args, **kwargs) @ v


def attention_weights(q: Any, k: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
                      scale: float | None = None, enable_gqa: bool = False) -> Any:  # fmt: skip
    """What each query takes of each value: softmax(q kᵀ/√E) [..., T, S]."""
    if enable_gqa:
        raise NotImplementedError("curvature has no rule for attention with grouped queries")
    scores = q @ k.transpose(-2, -1) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=values(q).device).tril()
    if attn_mask is not None:
        boolean = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -math.inf) if boolean else scores + attn_mask
    weights = F.softmax(scores, -1)
    return F.dropout(weights, dropout_p) if dropout_p else weights


@rule("multi_head_attention_forward")
def multi_head(func: Any, q: Any, k: Any, v: Any, width: int, heads: int, W: Any, b: Any, k_bias: Any, v_bias: Any,
               zero: bool, dropout: float, out: Tensor, out_bias: Any, training: bool = True,
               key_padding_mask: Any = None, need_weights: bool = True, attn_mask: Any = None,
               use_separate_proj_weight: bool = False, *_: Any, average_attn_weights: bool = True,
               **__: Any) -> Any:  # fmt: skip
    """q, k, v [T, B, width], as `nn.MultiheadAttention` calls it."""
    if k_bias is not None or zero or use_separate_proj_weight or q.dim() != 3:
        return NotImplemented
    biases = (None,) * 3 if b is None else b.chunk(3)
    q, k, v = (_heads(F.linear(t, w, c), heads) for t, w, c in zip((q, k, v), W.chunk(3), biases, strict=True))
    mask = None if attn_mask is None else _additive(attn_mask, q)
    if mask is not None and mask.dim() == 3:  # [B heads, T, S]
        mask = mask.unflatten(0, (-1, heads))
    if key_padding_mask is not None:
        hidden = _additive(key_padding_mask, q)[:, None, None, :]
        mask = hidden if mask is None else mask + hidden
    weights = attention_weights(q, k, mask, dropout if training else 0.0)
    mixed = F.linear((weights @ v).permute(2, 0, 1, 3).flatten(2), out, out_bias)
    if not need_weights:
        return mixed, None
    return mixed, weights.mean(1) if average_attn_weights else weights


def _heads(x: Any, heads: int) -> Any:
    """[T, B, width] → [B, heads, T, width / heads]."""
    return x.reshape(*x.shape[:2], heads, -1).permute(1, 2, 0, 3)


def _additive(mask: Tensor, like: Any) -> Tensor:
    """A boolean mask, true where nothing may be looked at, as what is added to the scores."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape, dtype=like.dtype, device=mask.device).masked_fill(mask, -math.inf)
