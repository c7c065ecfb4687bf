"""Numbers as inputs of a graph: captured with some, it gives for others exactly what a capture with those would."""

import math
from contextlib import suppress
from types import SimpleNamespace

import pytest
import torch
import torch.distributions as dist

from bayesreg.graph import Numbers, of_numbers, simplify, trace
from bayesreg.graph.number import Number


def captured(function, owner, x):
    """The program of function(owner, x), with the float attributes of the owner as inputs."""
    numbers = Numbers([owner])
    with numbers.as_inputs():
        traced = trace(lambda x: [function(owner, x)], [x])
    return simplify(traced, 0, numbers=numbers)


@of_numbers
def log(number):
    return math.log(number)


SCALED = {
    "product": lambda o, x: x * o.a + o.b * x,
    "quotient": lambda o, x: x / -o.a,
    "difference": lambda o, x: x.sum() - o.a * 3,
    "in place": lambda o, x: x.clone().mul_(o.a).add_(o.b),
    "arithmetic": lambda o, x: x * (-0.5 / o.a**2 + abs(2 - o.b) % 0.7 - o.a * o.b),
    "function of numbers": lambda o, x: x + log(o.a * 2),
    "curve": lambda o, x: torch.autograd.functional.jacobian(lambda v: (v * v * o.a / o.b).sum() * o.b, x),
    "distribution": lambda o, x: dist.Laplace(x.new_zeros(3), o.a, validate_args=False).log_prob(x),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", SCALED)
def test_a_graph_serves_other_numbers_to_the_last_bit(name, dtype):
    x = torch.tensor([0.3, -1.7, 2.9], dtype=dtype)
    program = captured(SCALED[name], SimpleNamespace(a=0.7, b=1.3), x)
    untied = name not in ("in place", "distribution")  # those ask for their value
    for a, b in [(0.7, 1.3), (1e-3, 17.123456789), (1 / 3, 1e5)]:
        if untied or program.serves((a, b)):
            (ours,) = program.bind([], (a, b))(x)
            theirs = SCALED[name](SimpleNamespace(a=a, b=b), x)
            assert torch.equal(ours, theirs)
            assert ours.dtype == theirs.dtype
    assert program.serves((0.7, 1.3))


def branches(o, x):
    return x + 1 if o.a == 1 else x * o.a


def rounds(o, x):
    return x * round(float(o.a), 1)


TIED = {
    "a branch": (branches, 0.5, 0.7, 1.0),
    "a float": (rounds, 0.5, None, 0.7),
    "a function of PyTorch": (lambda o, x: x + torch.full((3,), o.a), 0.5, None, 0.7),
    "a text": (lambda o, x: x * len(f"{o.a}"), 0.5, None, 0.77),
    "half precision": (lambda o, x: (x.half() * o.a).float(), 0.5, None, 0.7),
    "a key": (lambda o, x: x * {0.5: 2}.get(o.a, 3), 0.5, None, 0.7),
}


@pytest.mark.parametrize("name", TIED)
def test_what_a_number_decides_ties_the_graph(name):
    function, first, alike, other = TIED[name]
    x = torch.tensor([0.3, -1.7, 2.9])
    program = captured(function, SimpleNamespace(a=first), x)
    assert program.serves((first,))
    assert not program.serves((other,))
    for a in (first, alike):
        if a is not None:
            assert program.serves((a,))
            assert torch.equal(program.bind([], (a,))(x)[0], function(SimpleNamespace(a=a), x))


def test_the_attributes_come_back_whatever_happens():
    owner = SimpleNamespace(a=0.5, whole=3, flag=True, text="a")
    with suppress(KeyError), Numbers([owner, owner]).as_inputs():
        assert isinstance(owner.a, Number)
        assert (owner.whole, owner.flag, owner.text) == (3, True, "a")
        raise KeyError
    assert owner == SimpleNamespace(a=0.5, whole=3, flag=True, text="a")
