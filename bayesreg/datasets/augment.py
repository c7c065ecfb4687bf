"""Random changes of a batch of images that leave their labels as they are."""

import torch
import torch.nn.functional as F
from torch import Tensor


def flip_and_crop(x: Tensor, padding: int = 4) -> Tensor:
    """Images [B, C, H, W], each mirrored with probability ½ and moved by up to `padding` pixels, over zeros.

    As He et al. (2016) train on CIFAR. On the device of x, whatever its type; random numbers are PyTorch's.
    """
    if x.dim() != 4:
        raise ValueError(f"flip_and_crop takes images [B, C, H, W], got x of shape {list(x.shape)}")
    size, _, height, width = x.shape
    padded = F.pad(x, [padding] * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # [B, C, 2·padding + 1, 2·padding + 1, H, W], a view
    down, right = torch.randint(2 * padding + 1, (2, size), device=x.device)
    moved = windows[torch.arange(size, device=x.device), :, down, right]
    mirrored = torch.rand(size, 1, 1, 1, device=x.device) < 0.5
    return torch.where(mirrored, moved.flip(-1), moved)
