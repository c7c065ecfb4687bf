from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bayesreg.nets import NETS, mlp


def parameters(net):
    return sum(p.numel() for p in net.parameters())


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.lists(st.integers(1, 9), max_size=3))
def test_has_a_weight_for_each_pair_of_units_and_a_bias_for_each_unit(inputs, outputs, hidden):
    widths = [inputs, *hidden, outputs]
    expected = sum(a * b + b for a, b in pairwise(widths))
    assert parameters(mlp(inputs, outputs, hidden)) == expected


def test_has_two_hidden_layers_of_64_units_by_default():
    net = mlp(8, 3)
    assert [tuple(p.shape) for p in net.parameters()] == [(64, 8), (64,), (64, 64), (64,), (3, 64), (3,)]
    assert parameters(mlp(8, 3, hidden=10)) == 8 * 10 + 10 + 10 * 10 + 10 + 10 * 3 + 3
    assert [n for n, _ in net.named_parameters()][::2] == ["body.0.weight", "body.2.weight", "head.weight"]


def test_is_the_equation_it_says():
    net, x = mlp(5, 2, [4, 3]), torch.randn(6, 5)
    (W1, b1, W2, b2, W3, b3), h = net.parameters(), x
    for W, b in ((W1, b1), (W2, b2)):
        z = h @ W.T + b
        h = z * torch.sigmoid(z)
    torch.testing.assert_close(net(x), h @ W3.T + b3)


@pytest.mark.parametrize("shape", [(7, 12), (7, 3, 4), (7, 3, 2, 2), (0, 12), (1, 12)])
def test_takes_x_of_any_shape(shape):
    net, x = mlp(12, 2, 4), torch.randn(shape)
    assert net(x).shape == (shape[0], 2)
    torch.testing.assert_close(net(x), net(x.reshape(-1, 12)))
    assert mlp(1, 2)(torch.randn(7)).shape == (7, 2)


def test_activation_and_seed():
    assert {type(m) for m in mlp(2, 2).body} == {nn.Linear, nn.SiLU}
    assert {type(m) for m in mlp(2, 2, activation=nn.Tanh).body} == {nn.Linear, nn.Tanh}
    nets = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        nets.append(torch.cat([p.flatten() for p in NETS["mlp"](3, 2).parameters()]))
    assert torch.equal(nets[0], nets[1])
    assert not torch.equal(nets[0], nets[2])


@pytest.mark.parametrize("sizes", [(0, 2, 4), (2, 0, 4), (2, 2, [4, 0])])
def test_layers_without_units_are_refused(sizes):
    with pytest.raises(ValueError, match="every layer needs a unit"):
        mlp(*sizes)


def test_x_of_another_size_is_an_error():
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        mlp(3, 2)(torch.randn(6, 4))
