"""A program can be bound any number of times, and its bindings are independent of each other."""

import torch

from bayesreg.graph import Program, Programs, simplify, trace

HELD = torch.tensor([1.0, 2.0, 3.0])


def function(w, x):
    ones = torch.ones(3).cumsum(0)
    w[:1].add_(1.0)
    return [(w**2 / 2 + ones) * x.sum() * HELD, HELD * 1.0, torch.zeros(3)]


def program(w, x):
    return simplify(trace(function, [w, x]), 1)


def test_what_is_bound_shares_no_memory(monkeypatch):
    """Calls may take turns, and what one gives may be written to."""
    monkeypatch.setattr("bayesreg.graph.memory.LONG", 8)
    x, ws = torch.tensor([0.5, 1.5]), [torch.tensor([0.1, 0.2, 0.3]), torch.tensor([5.0, 6.0, 7.0])]
    shared = program(torch.zeros(3), x)
    steps, alone = [shared.bind([w]) for w in ws], [program(w.clone(), x).bind([w.clone()]) for w in ws]
    for call in range(3):
        ours = [step((1 + call) * x) for step in steps]
        for result, other in zip(ours, alone, strict=True):
            assert all(map(torch.equal, result, other((1 + call) * x)))
    for tensor in ours[0]:
        tensor.fill_(torch.nan)
    assert all(map(torch.equal, steps[1](x), alone[1](x)))
    assert torch.equal(HELD, torch.tensor([1.0, 2.0, 3.0]))


def test_a_program_outlives_what_it_was_captured_from():
    x, held = torch.tensor([0.5, 1.5]), torch.tensor([1.0, 2.0, 3.0])
    kept = simplify(trace(lambda w, x: [w * held * x.sum()], [torch.zeros(3), x]), 1)
    held.fill_(torch.nan)
    assert torch.equal(kept.bind([torch.ones(3)])(x)[0], torch.tensor([2.0, 4.0, 6.0]))


def some(nodes, ties=()):
    return Program(None, None, [], [], [], [], list(ties), nodes)


def test_those_used_last_are_kept_as_far_as_memory_goes():
    programs = Programs(most=10 * 1024)
    for name in "abc":
        programs.keep(name, (), some(3))
    assert programs.find("a", ()) is not None
    programs.keep("d", (), some(3))
    assert [name for name in "abcd" if programs.find(name, ())] == ["a", "c", "d"]
    programs.keep("huge", (), some(11))
    assert len(programs) == 0


def test_of_one_function_there_may_be_several_for_different_numbers():
    programs, small, large = Programs(), *(some(1, [(lambda v: v[0] < 1, answer)]) for answer in (True, False))
    programs.keep("f", (0.5,), small, note=1)
    programs.keep("f", (2.0,), large, note=2)
    assert programs.find("f", (0.1,)) == (small, 1)
    assert programs.find("f", (9.0,)) == (large, 2)
    assert programs.find("g", (9.0,)) is None
    programs.keep("f", (0.7,), small, note=3)  # in the place of the first
    assert len(programs) == 2
    assert programs.find("f", (0.1,)) == (small, 3)
