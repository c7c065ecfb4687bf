import math

import pytest
import torch
from torch import nn

from bayesreg.nets import NETS, BasicBlock, resnet18


def parameters(net):
    return sum(p.numel() for p in net.parameters())


def expected(classes, width, channels):
    """Convolutions without bias, two parameters per BatchNorm channel, a linear layer at the end."""
    count = 9 * channels * width + 2 * width
    before = width
    for after in (width, 2 * width, 4 * width, 8 * width):
        count += 9 * before * after + 3 * 9 * after**2 + 4 * 2 * after
        count += before * after + 2 * after if before != after else 0
        before = after
    return count + 8 * width * classes + classes


def test_has_the_known_number_of_parameters():
    assert parameters(resnet18()) == expected(10, 64, 3) == 11_173_962


@pytest.mark.parametrize(("classes", "width", "channels"), [(10, 8, 3), (100, 2, 1), (102, 5, 4)])
def test_has_the_parameters_of_the_formula(classes, width, channels):
    net = resnet18(classes, width, channels).eval()
    assert parameters(net) == expected(classes, width, channels)
    assert net(torch.randn(2, channels, 8, 8)).shape == (2, classes)


def test_names_are_those_of_torchvision():
    names = {n for n, _ in resnet18(width=2).named_parameters()}
    assert {"conv1.weight", "bn1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer1.1.bn2.bias"} <= names
    assert {"layer2.0.downsample.0.weight", "layer4.0.downsample.1.bias", "fc.weight", "fc.bias"} <= names
    assert len(names) == 62
    assert not any(n.startswith("layer1") and "downsample" in n for n in names)


def test_sizes_halve_from_the_second_stage():
    net, x = resnet18(width=2).eval(), torch.randn(1, 3, 32, 32)
    sizes = []
    for layer in (nn.Sequential(net.conv1, net.bn1, net.act), net.layer1, net.layer2, net.layer3, net.layer4):
        x = layer(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes == [(2, 32, 32), (2, 32, 32), (4, 16, 16), (8, 8, 8), (16, 4, 4)]


def test_every_activation_is_silu():
    smooth = {nn.Conv2d, nn.BatchNorm2d, nn.SiLU, nn.AdaptiveAvgPool2d, nn.Linear, nn.Sequential, BasicBlock}
    net = resnet18(width=2)
    assert {type(m) for m in net.modules()} - {type(net)} == smooth


def test_a_block_is_the_equation_it_says():
    block, x = BasicBlock(3, 3, 1).eval(), torch.randn(2, 3, 4, 4)
    inner = block.bn2(block.conv2(nn.functional.silu(block.bn1(block.conv1(x)))))
    torch.testing.assert_close(block(x), nn.functional.silu(x + inner))


def test_convolutions_start_as_he_et_al_and_norms_at_the_identity():
    torch.manual_seed(0)
    net = resnet18(width=64)
    for conv in (m for m in net.modules() if isinstance(m, nn.Conv2d)):
        fan_out = conv.out_channels * conv.kernel_size[0] * conv.kernel_size[1]
        weight, n = conv.weight.detach(), conv.weight.numel()
        sd = math.sqrt(2 / fan_out)
        assert abs(float(weight.std()) / sd - 1) < 5 / math.sqrt(2 * n)
        assert abs(float(weight.mean())) < 5 * sd / math.sqrt(n)
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        assert bool((norm.weight == 1).all())
        assert bool((norm.bias == 0).all())


def test_a_seed_gives_the_network():
    nets = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        nets.append(torch.cat([p.flatten() for p in NETS["resnet18"](width=2).parameters()]))
    assert torch.equal(nets[0], nets[1])
    assert not torch.equal(nets[0], nets[2])


@pytest.mark.parametrize("wrong", [{"classes": 0}, {"width": 0}, {"channels": -1}])
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        resnet18(**wrong)
