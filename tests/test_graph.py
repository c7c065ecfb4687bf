"""The simplified graph: the same numbers, bit for bit, with less done on every call."""

from functools import reduce

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from bayesreg.graph import simplify, trace

UNARY = [torch.exp, torch.tanh, torch.neg, torch.square, torch.sigmoid, lambda a: a + 0.0, lambda a: a * 1.0]
UNARY += [lambda a: a.t().t(), lambda a: a.reshape(-1).view(3, 3), torch.detach, lambda a: a.expand(3, 3), torch.t]
UNARY += [lambda a: a.sum(0, keepdim=True) - a, lambda a: a.softmax(-1), lambda a: a[:, :1] * a, torch.clone]
UNARY += [lambda a: a - a.new_zeros(3, 3), lambda a: a + torch.ones(3, 3).cumsum(0), lambda a: a**1.0, lambda a: 2 - a]
BINARY = [torch.add, torch.sub, torch.mul, torch.mm, torch.maximum, lambda a, b: torch.add(a, b, alpha=2), torch.div]
BINARY += [lambda a, b: torch.cat([a, b])[1:4], lambda a, b: torch.where(a > 0, a, b), torch.xlogy, lambda a, b: a]


class Operations(TorchDispatchMode):
    """The names of the operations that are run."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func._schema.name.removeprefix("aten::"))
        return func(*args, **(kwargs or {}))


def square(seed):
    return torch.randn(3, 3, generator=torch.Generator().manual_seed(seed))


def simplified(function, fixed, moving):
    return simplify(trace(lambda *inputs: list(function(*inputs)), [*fixed, *moving]), len(fixed)).bind(fixed)


def same(ours, theirs):
    return all(torch.equal(torch.nan_to_num(a), torch.nan_to_num(b)) for a, b in zip(ours, theirs, strict=True))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_random_functions_give_the_same_bits_call_after_call(data):
    """Two fixed inputs, which move between the calls as parameters do, and one that is new each time."""
    picks = data.draw(st.lists(st.tuples(st.booleans(), *[st.integers(0, 10**6)] * 3), min_size=1, max_size=20))
    kept = data.draw(st.integers(1, 2))  # the fewer outputs, the more memory is free

    def function(*inputs):
        values = list(inputs)
        for binary, f, a, b in picks:
            first, second = values[a % len(values)], values[b % len(values)]
            one, two = UNARY[f % len(UNARY)], BINARY[f % len(BINARY)]
            values.append(two(first, second) if binary else one(first))
        return values[-kept:]

    fixed = [square(0), square(1)]
    fast = simplified(function, fixed, [square(2)])
    for call in range(3):
        x = square(10 + call)
        before = [t.clone() for t in (*fixed, x)]
        assert same(fast(x), function(*fixed, x))
        assert same([*fixed, x], before)
        for tensor in fixed:
            tensor.mul_(0.5).add_(square(20 + call))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_long_vectors_in_kept_memory_give_the_same_bits(data):
    """Kept memory is used again as soon as nobody needs it, and outputs stay whole until the next call."""
    unary = [torch.exp, torch.neg, torch.tanh, lambda a: a**2, lambda a: a * 2.0, lambda a: 1 - a, lambda a: a[2:]]
    binary = [
        torch.add,
        torch.mul,
        torch.div,
        lambda a, b: torch.cat([a, b])[:6],
        lambda a, b: torch.where(a > 0, a, b),
    ]
    picks = data.draw(st.lists(st.tuples(st.booleans(), *[st.integers(0, 10**6)] * 3), min_size=1, max_size=20))

    def function(*inputs):
        values = list(inputs)
        for two, f, a, b in picks:
            first, second = values[-1 - a % min(4, len(values))], values[-1 - b % min(4, len(values))]
            one = unary[f % len(unary)]
            small = first.shape != second.shape or len(first) < 6
            values.append(binary[f % len(binary)](first, second) if two and not small else one(first))
            values = values if len(values[-1]) else values[:-1]
        return values[-2:]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bayesreg.graph.memory.LONG", 0)
        fixed = [square(0).reshape(-1)[:6].clone()]
        fast = simplified(function, fixed, [square(2).reshape(-1)[:6]])
        for call in range(3):
            x = square(10 + call).reshape(-1)[:6].clone()
            assert same(fast(x), function(*fixed, x))
            fixed[0].mul_(0.5)


def test_long_vectors_take_no_new_memory(monkeypatch):
    monkeypatch.setattr("bayesreg.graph.memory.LONG", 8)

    def function(w, x):
        return [(w**2 / 2 + 3) * x.sum()]

    w, x = torch.randn(4), torch.randn(4)
    fast = simplified(function, [w], [x])
    (first,), (second,) = fast(x), fast(2 * x)
    assert first.data_ptr() == second.data_ptr()
    assert torch.equal(second, function(w, 2 * x)[0])
    with Operations() as operations:
        fast(x)
    assert [name for name in operations.names if name != "resize_"] == ["pow", "div_", "add_", "sum", "mul_"]


def test_parts_of_a_long_vector_are_added_where_the_whole_would_be(monkeypatch):
    """The gradient of a likelihood, in parts, and of a prior."""
    monkeypatch.setattr("bayesreg.graph.memory.LONG", 8)

    def function(w, x):
        return [w * 3 + torch.cat([(x @ x).reshape(-1), x.sum(0), x.sum(0) * 2])]

    w, x = torch.randn(8), torch.randn(2, 2)
    fast = simplified(function, [w], [x])
    for scale in (1, 2):
        assert torch.equal(fast(scale * x)[0], function(w, scale * x)[0])
    with Operations() as operations:
        fast(x)
    assert [name for name in operations.names if name in ("cat", "copy_", "add", "add_")] == ["add_"] * 3


def test_a_product_is_added_when_all_parts_are_there(monkeypatch):
    """The gradient of a Gaussian prior: until then its memory is the activations'."""
    monkeypatch.setattr("bayesreg.graph.memory.LONG", 8)

    def function(w, x):
        return [w * x.sum() + torch.cat([(x @ x).reshape(-1), x.sum(0) + 1])]

    w, x = torch.randn(6), torch.randn(2, 2)
    fast = simplified(function, [w], [x])
    for scale in (1, 2):
        torch.testing.assert_close(fast(scale * x)[0], function(w, scale * x)[0])
    with Operations() as operations:
        fast(x)
    written = [name for name in operations.names if name in ("cat", "copy_", "mul", "addcmul_")]
    assert written == ["copy_", "addcmul_"]  # the matrix product was written to its place at once


def test_products_are_written_where_they_belong(monkeypatch):
    monkeypatch.setattr("bayesreg.graph.memory.LONG", 8)

    def function(x):
        return [torch.cat([(x @ x).reshape(-1), (x.t() @ x).reshape(-1), x.t().reshape(-1), x.reshape(-1)])]

    x = torch.randn(2, 2)
    fast = simplified(function, [], [x])
    for scale in (1, 2):
        assert torch.equal(fast(scale * x)[0], function(scale * x)[0])
    with Operations() as operations:
        fast(x)
    assert sorted(n for n in operations.names if n in ("cat", "copy_", "mm")) == ["copy_", "copy_", "mm", "mm"]


def test_constants_of_one_number_take_no_memory():
    fast = simplified(lambda x: [x * torch.full((1000,), 3.0)], [], [torch.ones(1000)])
    (constants,) = (cell.cell_contents for cell in fast.__closure__ if isinstance(cell.cell_contents, list))
    assert [c.untyped_storage().nbytes() for c in constants] == [4]
    assert torch.equal(fast(torch.ones(1000))[0], torch.full((1000,), 3.0))


def test_what_is_the_same_on_every_call_is_done_once():
    def function(w, x):
        constant = (torch.ones(6).cumsum(0) / 6 - torch.zeros(6)).reshape(2, 3)
        weight = w.expand(6).view(2, 3)
        return [((x.detach() @ weight.t().t().t()) * 1.0 + 0.0) @ constant]

    w, x = torch.randn(6), torch.randn(5, 3)
    fast = simplified(function, [w], [x])
    with Operations() as operations:
        (out,) = fast(x)
    assert operations.names == ["mm", "mm"]
    assert torch.equal(out, function(w, x)[0])


def test_elementwise_operations_write_over_what_nobody_needs():
    def function(w, x):
        h = torch.exp(w * x)
        return [(torch.tanh(h) - h) / 3 + w, w * 2]

    w, x = torch.randn(4), torch.randn(4)
    fast = simplified(function, [w], [x])
    with Operations() as operations:
        fast(x)
    assert operations.names == ["mul", "exp_", "tanh", "sub_", "div_", "add_", "mul"]


def test_a_view_of_what_is_dead_keeps_its_memory():
    def function(x):
        h = torch.exp(x)
        row = h[0]
        last_use = torch.tanh(h)
        return [last_use, row * 2]

    x = torch.randn(3, 3)
    assert same(simplified(function, [], [x])(x), function(x))


def test_buffers_are_written_to_on_each_call():
    def function(buffer, count, x):
        view = buffer[1:]
        view.mul_(0.9).add_(x.mean(), alpha=0.1)
        count.add_(1)
        scratch = x.new_zeros(3)
        scratch[1:].copy_(buffer[1:])
        return [buffer * x.sum(), scratch + 1, torch.zeros(2).add_(count)]

    ours, theirs = [[torch.ones(3), torch.tensor(0)] for _ in range(2)]
    fast = simplified(function, ours, [torch.ones(2)])
    for tensor, kept in zip(ours, theirs, strict=True):  # tracing has run it once
        tensor.copy_(kept)
    for call in range(3):
        x = torch.randn(2, generator=torch.Generator().manual_seed(call))
        assert same(fast(x), function(*theirs, x))
        assert same(ours, theirs)
    assert ours[1] == 3


def test_random_numbers_are_drawn_anew_and_in_the_same_order():
    def function(w, x):
        noise = torch.empty(3).normal_() + torch.rand(3)
        return [torch.nn.functional.dropout(w * x, 0.5) + noise * torch.ones(3).bernoulli()]

    w, x = torch.randn(3), torch.randn(3)
    fast = simplified(function, [w], [x])
    torch.manual_seed(0)
    ours = [fast(x)[0] for _ in range(3)]
    torch.manual_seed(0)
    assert same(ours, [function(w, x)[0] for _ in range(3)])
    assert not torch.equal(ours[0], ours[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_types_and_layouts_stay(dtype):
    def function(w, x):
        return [w + x.to(dtype), (x * 2).to(dtype), x.t() + 0, reduce(torch.add, [w, 1, x.to(dtype)]), w == 0]

    w, x = torch.arange(6).reshape(2, 3).to(dtype), torch.randn(2, 3)
    for ours, theirs in zip(simplified(function, [w], [x])(x), function(w, x), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.dtype == theirs.dtype
        assert ours.stride() == theirs.stride()
