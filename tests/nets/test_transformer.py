import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import gelu, layer_norm, linear

from bayesreg.nets import NETS, Transformer, transformer
from bayesreg.nets.transformer import positions


def waves(steps, width):
    angle = np.arange(steps)[:, None] / 10_000.0 ** (np.arange(0, width, 2) / width)
    return torch.tensor(np.concatenate([np.sin(angle), np.cos(angle)], 1))


def case(layers=2, heads=2, dropout=0.0, steps=6):
    """A network of 3 inputs, 2 outputs and width 12, with no parameter left at 0 or 1, and examples for it."""
    torch.manual_seed(0)
    net = transformer(3, 2, 12, layers, heads, dropout).double()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return net, torch.randn(4, steps, 3).double()


def by_hand(net, x, heads):
    """The equations in plain operations, on the parameters in the order they are used, but for the norms."""
    embed, *layers, norm, head = zip(*[(p.detach() for p in net.parameters())] * 2, strict=True)
    h = linear(x, *embed) + waves(x.shape[1], 12)
    for n in range(0, len(layers), 6):
        in_proj, out_proj, linear1, linear2, norm1, norm2 = layers[n : n + 6]
        qkv = linear(layer_norm(h, [12], *norm1), *in_proj).unflatten(-1, (3, heads, 12 // heads))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended = torch.softmax(q @ k.mT / (12 / heads) ** 0.5, -1) @ v
        h = h + linear(attended.transpose(1, 2).flatten(2), *out_proj)
        h = h + linear(gelu(linear(layer_norm(h, [12], *norm2), *linear1)), *linear2)
    return linear(layer_norm(h, [12], *norm).mean(1), *head)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2))
def test_has_the_parameters_of_the_formula(inputs, outputs, heads, layers, pairs):
    width = 2 * heads * pairs
    a_layer = 4 * width * (width + 1) + (8 * width**2 + 5 * width) + 2 * 2 * width  # attention, feed-forward, norms
    expected = width * (inputs + 1) + layers * a_layer + 2 * width + outputs * (width + 1)
    assert sum(p.numel() for p in transformer(inputs, outputs, width, layers, heads).parameters()) == expected


@pytest.mark.parametrize(("layers", "heads"), [(1, 2), (2, 2), (2, 3)])  # PyTorch fuses an even number of heads
@pytest.mark.parametrize("steps", [1, 2, 17])
def test_is_the_equations_it_says_for_sequences_of_any_length(layers, heads, steps):
    net, x = case(layers, heads, steps=steps)
    hand = by_hand(net, x, heads)
    assert hand.shape == NETS["transformer"](3, 2)(x.float()).shape == (4, 2)
    for mode in (True, False):
        torch.testing.assert_close(net.train(mode)(x), hand, atol=1e-5, rtol=1e-5)
        with torch.no_grad():
            torch.testing.assert_close(net(x), hand, atol=1e-5, rtol=1e-5)


def test_the_order_of_the_steps_matters_by_the_positions_alone(monkeypatch):
    torch.testing.assert_close(positions(torch.zeros(2, 50, 6)), waves(50, 6).float(), atol=1e-5, rtol=0)
    net, x = case()
    assert (net(x) - net(x.flip(1))).abs().max() > 0.01
    monkeypatch.setitem(Transformer.forward.__globals__, "positions", torch.zeros_like)
    torch.testing.assert_close(net(x), net(x.flip(1)))


def test_an_example_does_not_see_the_others():
    net, x = case()
    torch.testing.assert_close(net(x), torch.cat([net(one) for one in x.split(1)]))


def test_dropout_is_for_training():
    (net, x), (dropping, _) = case(), case(dropout=0.5)
    assert (dropping(x) - dropping(x)).abs().max() > 0.01
    torch.testing.assert_close(dropping.eval()(x), net(x))


def test_has_second_derivatives():
    net, x = case(layers=1)

    def outputs(W):  # through every part: attention, norms and feed-forward
        return functional_call(net, {"embed.weight": W}, (x,))

    with sdpa_kernel(SDPBackend.MATH):
        assert torch.autograd.gradgradcheck(outputs, net.embed.weight)


@pytest.mark.parametrize("wrong", ["inputs=0", "outputs=0", "width=0", "width=6", "layers=0", "heads=0", "heads=-1"])
def test_impossible_sizes_are_refused(wrong):
    name, size = wrong.split("=")
    with pytest.raises(ValueError, match=f"{wrong}.*multiple of twice the heads"):
        transformer(**{"inputs": 2, "outputs": 2, "width": 8, "heads": 2, name: int(size)})
