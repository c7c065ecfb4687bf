"""ResNet18 for small images: h_{l+1} = a(h_l + F_l(h_l))  (He et al., Deep Residual Learning, 2016).

As He et al. train on CIFAR: a first convolution of 3×3 and stride 1, and no max-pool. As Kretsinger-Walters &
Juliani (2025): SiLU for ReLU, so that it has second derivatives. Modules are named as in torchvision. Weights
as in He et al., Delving Deep into Rectifiers (2015): normal, of mean 0 and variance 2 / fan_out.
"""

from torch import Tensor, nn


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


class BasicBlock(nn.Module):
    """a(shortcut(x) + bn2(conv2(a(bn1(conv1(x)))))), at 1/stride of the size in x [B, inputs, H, W]."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs, outputs, 3, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = _convolution(outputs, outputs, 3, 1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.act = nn.SiLU()
        self.downsample: nn.Module | None = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(_convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.act(self.bn1(self.conv1(x)))
        return self.act(shortcut + self.bn2(self.conv2(out)))


class ResNet(nn.Module):
    """Images [B, channels, H, W] of any size to [B, classes]: four stages, the last three halve the size."""

    def __init__(self, blocks: tuple[int, int, int, int], classes: int, width: int, channels: int) -> None:
        super().__init__()
        if min(classes, width, channels) < 1:
            raise ValueError(f"classes={classes}, width={width} and channels={channels} must be at least 1")
        self.conv1 = _convolution(channels, width, 3, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.act = nn.SiLU()
        stages = []
        inputs = width
        for stage, count in enumerate(blocks):
            outputs, stride = width * 2**stage, 1 if stage == 0 else 2
            first = BasicBlock(inputs, outputs, stride)
            stages.append(nn.Sequential(first, *(BasicBlock(outputs, outputs, 1) for _ in range(count - 1))))
            inputs = outputs
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """New weights of the convolutions (He et al., 2015); all others are as their layers have drawn them."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="relu"
                )  # SiLU has no gain of its own there

    def forward(self, x: Tensor) -> Tensor:
        out = self.act(self.bn1(self.conv1(x)))
        out = self.layer4(self.layer3(self.layer2(self.layer1(out))))
        return self.fc(self.avgpool(out).flatten(1))


def resnet18(classes: int = 10, width: int = 64, channels: int = 3) -> ResNet:
    """Two blocks per stage; `width` channels in the first stage, doubled in each of the others."""
    return ResNet((2, 2, 2, 2), classes, width, channels)
