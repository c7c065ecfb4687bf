"""The same second derivatives by reverse mode twice: for any network that torch can differentiate, and slow.

The paper's own way, the fallback where there are no rules, and a reference that the rules are held against.
"""

from torch import Tensor
from torch.autograd import grad


def double_backward(outputs: Tensor, x: Tensor, directions: Tensor) -> Tensor:
    """Σ_c Σ_j (∂²Ω_c/∂v_j²)² of each example: [B], along the directions v [m, B or 1, ...].

    outputs [B, ...] were computed from x [B, ...]. Two passes backward an output and a direction.
    """
    total = x.new_zeros(len(x))
    for output in outputs.reshape(len(x), -1).unbind(1) if outputs.requires_grad else ():
        (slope,) = grad(output.sum(), x, create_graph=True, materialize_grads=True)
        for v in directions if slope.requires_grad else ():
            (second,) = grad((slope * v).sum(), x, create_graph=True, materialize_grads=True)
            total = total + (second * v).flatten(1).sum(1).square()
    return total
