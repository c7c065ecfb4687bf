import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesreg.nets import NETS, bilstm, lstm


def parameters(net):
    return sum(p.numel() for p in net.parameters())


def expected(inputs, outputs, hidden, layers):
    """Four gates per unit, each with a weight per input, a weight per unit and two biases; a linear layer last."""
    below = [inputs, *[hidden] * (layers - 1)]
    return sum(4 * hidden * (n + hidden + 2) for n in below) + outputs * (hidden + 1)


def by_hand(net, x, hidden, layers):
    """The equations of the cell, a layer at a time, a step at a time."""
    *cells, W, b = (p.detach() for p in net.parameters())
    steps = list(x.unbind(1))
    for layer in range(layers):
        W_x, W_h, b_x, b_h = cells[4 * layer : 4 * layer + 4]
        h = c = x.new_zeros(len(x), hidden)
        for t, x_t in enumerate(steps):
            i, f, g, o = (x_t @ W_x.T + b_x + h @ W_h.T + b_h).split(hidden, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = steps[t] = torch.sigmoid(o) * torch.tanh(c)
    return h @ W.T + b


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6), st.integers(1, 3))
def test_has_the_parameters_of_the_formula(inputs, outputs, hidden, layers):
    assert parameters(lstm(inputs, outputs, hidden, layers)) == expected(inputs, outputs, hidden, layers)


def test_has_one_layer_of_64_units_by_default():
    assert parameters(NETS["lstm"](3, 2)) == expected(3, 2, 64, 1)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("steps", [1, 2, 17])
def test_is_the_equations_it_says_for_sequences_of_any_length(layers, steps):
    torch.manual_seed(0)
    net, x = lstm(3, 2, 5, layers).double(), torch.randn(4, steps, 3).double()
    hand = by_hand(net, x, 5, layers)
    assert hand.shape == (4, 2)
    for mode in (True, False):
        torch.testing.assert_close(net.train(mode)(x), hand)
        with torch.no_grad():
            torch.testing.assert_close(net(x), hand)


def test_an_example_does_not_see_the_others():
    torch.manual_seed(0)
    net, x = lstm(3, 2, 5, 2).double(), torch.randn(4, 6, 3).double()
    torch.testing.assert_close(net(x), torch.cat([net(one) for one in x.split(1)]))
    (gradient,) = torch.autograd.grad(net(x.requires_grad_())[1].sum(), x)
    assert gradient.flatten(1).abs().sum(1).gt(0).tolist() == [False, True, False, False]


def test_a_seed_gives_the_network():
    nets = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        nets.append(torch.cat([p.flatten() for p in lstm(3, 2).parameters()]))
    assert torch.equal(nets[0], nets[1])
    assert not torch.equal(nets[0], nets[2])


@pytest.mark.parametrize("wrong", ["inputs", "outputs", "hidden", "layers"])
@pytest.mark.parametrize("size", [0, -1])
def test_sizes_below_1_are_refused(wrong, size):
    with pytest.raises(ValueError, match=f"{wrong}={size}.* must be at least 1"):
        lstm(**{"inputs": 2, "outputs": 2, "hidden": 2, "layers": 2, wrong: size})


# --- Both ways, on tokens ---


def test_padding_changes_nothing():
    torch.manual_seed(0)
    net, x = bilstm(9, 3, 4, 5).double().eval(), torch.randint(1, 9, (4, 6))
    for length in (1, 4, 6):
        short = net(x[:, :length])
        padded = torch.cat([x[:, :length], torch.zeros(4, 3, dtype=torch.long)], 1)
        torch.testing.assert_close(net(padded), short)
    mixed = x.clone()
    mixed[1, 2:] = 0
    torch.testing.assert_close(net(mixed)[1], net(x[1:2, :2])[0])


def test_is_an_lstm_of_pytorch_read_both_ways():
    torch.manual_seed(0)
    net, x = bilstm(9, 3, 4, 5).double().eval(), torch.randint(1, 9, (4, 6))
    both = torch.nn.LSTM(4, 5, batch_first=True, bidirectional=True).double()
    for name, p in net.forwards.named_parameters():
        both.get_parameter(name).data.copy_(p.data)
        both.get_parameter(f"{name}_reverse").data.copy_(net.backwards.get_parameter(name).data)
    torch.testing.assert_close(net(x), net.head(both(net.embed(x))[0].mean(1)))


def test_what_is_no_tokens_is_refused():
    with pytest.raises(ValueError, match=r"tokens \[B, T\], got x of shape \[2, 3\], torch.float32"):
        bilstm(5, 2)(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="words=0"):
        bilstm(0, 2)
