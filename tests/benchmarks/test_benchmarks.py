"""The benchmark compares like with like, and leaves everything behind that it says."""

import itertools
import json
import math
import re

import pandas as pd
import pyro
import pytest
import torch

from bayesreg import guides
from bayesreg.objective import Objective
from bayesreg.priors import ARD, L1, L2, Entropic, parse
from bayesreg.step import Step
from benchmarks import bars, contestants, measure, memory, step_time
from benchmarks.by_hand import HandWritten, MeanField
from benchmarks.cases import CASES, Problem
from benchmarks.contestants import BAYESREG, DECAY, HAND, Key
from benchmarks.naive import naive

PRIORS = ("none", "l1", "l2", "entropic", "ard")
CPU = torch.device("cpu")
HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def omitted(problem, prior, guide, weights, learned):
    """What the hand-written loss leaves out, per datum: the constants of the densities."""
    size, term = problem.case.size, parse(prior, problem.case.size)
    constant = 0.0 if problem.case.classes else HALF_LOG_TAU
    if isinstance(term, L2):
        constant += weights / size * (HALF_LOG_TAU + math.log(term.scale))
    elif isinstance(term, L1):
        constant += weights / size * math.log(2 * term.scale)
    elif isinstance(term, ARD):
        constant += weights / size * HALF_LOG_TAU  # log Γ(1) = 1 log 1 = 0
    elif isinstance(term, Entropic) and not problem.case.classes:
        constant -= term.strength * (0.5 + HALF_LOG_TAU)
    if guide == "normal":
        constant -= learned / size * (HALF_LOG_TAU + 0.5)  # at ε = 1
    return constant


@pytest.fixture
def double():
    """Adam divides by √v, which turns the rounding of float32 into steps of their own where a gradient is near 0."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("guide", ["delta", "normal"])
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("case", ["mlp", "housing", "lstm"])
def test_the_hand_written_step_optimises_what_bayesreg_does(monkeypatch, double, case, prior, guide):
    monkeypatch.setattr(torch, "randn_like", torch.ones_like)  # the same draws for both
    monkeypatch.setattr("torch.distributions.normal._standard_normal", lambda shape, **_: torch.ones(shape))
    problem = Problem(CASES[case], 1, 16, CPU)
    model = problem.model(prior)
    ours = Step(model, guides.create(guide, model), 1e-2, 10)
    size, kind = problem.case.size, HandWritten if guide == "delta" else MeanField
    by_hand = kind(problem.network(), parse(prior, size), problem.case.likelihood, size, 1e-2, 10)
    weights = sum(w.numel() for w in by_hand.weights)
    learned = sum(p.numel() for p in ours.parameters)
    constant = omitted(problem, prior, guide, weights, learned // 2)
    for _ in range(3):
        loss = ours(problem.x, problem.y).sum()
        torch.testing.assert_close(by_hand(problem.x, problem.y) + constant, loss, rtol=1e-4, atol=1e-5)
    assert learned == sum(p.numel() for p in by_hand.parameters)
    mine, theirs = (sorted_sums(parameters) for parameters in (ours.parameters, by_hand.parameters))
    torch.testing.assert_close(theirs, mine, rtol=1e-4, atol=1e-5)


def sorted_sums(parameters):
    """All numbers in order of size: bayesreg has them in other vectors than the network."""
    return torch.cat([p.detach().reshape(-1) for p in parameters]).sort().values


def test_naive_pyro_starts_at_the_same_objective():
    pyro.clear_param_store()
    problem = Problem(CASES["mlp"], 1, 16, CPU)
    model, size = problem.model("l2"), problem.case.size
    objective = sum(Objective(model, guides.create("delta", model))(problem.x, problem.y).values())
    svi = naive(problem.network(), parse("l2", size), problem.case.likelihood, size, 1e-3)
    assert svi.evaluate_loss(problem.x, problem.y) == pytest.approx(objective.item() * size, rel=1e-5)
    pyro.clear_param_store()


def test_weight_decay_takes_the_same_steps(double):
    problem = Problem(CASES["mlp"], 1, 16, CPU)
    size = problem.case.size
    written = [
        HandWritten(problem.network(), parse("l2:0.1", size), problem.case.likelihood, size, 1e-2, 10, decay=decay)
        for decay in (False, True)
    ]
    for _ in range(3):
        for by_hand in written:
            by_hand(problem.x, problem.y)
    written_out, decayed = (dict(by_hand.net.named_parameters()) for by_hand in written)
    torch.testing.assert_close(decayed, written_out)


class Fake:
    """Contestants whose steps take the time they say, by a clock of their own, which slows down for a while."""

    def __init__(self, **seconds):
        self.now, self.seconds, self.log, self.slow = 0.0, seconds, [], lambda turn: 1.0

    def step(self, name):
        self.log.append(name)
        self.now += self.seconds[name] * self.slow(len(self.turns()))

    def turns(self):
        return [name for name, _ in itertools.groupby(self.log)]

    def run(self, **options):
        steps = {name: lambda name=name: self.step(name) for name in self.seconds}
        return measure.interleave(steps, clock=lambda: self.now, **options)


def test_contestants_take_turns_and_their_own_time_comes_back():
    fake = Fake(quick=0.001, slow=0.05)
    times = fake.run(seconds=1.0)
    assert {name: measure.spread(taken).median for name, taken in times.items()} == pytest.approx(
        {"quick": 0.001, "slow": 0.05}
    )
    assert len(times["quick"]) == len(times["slow"]) == 20  # a second is 20 turns of the slow one
    assert fake.turns().count("quick") > 8  # not all of one, then all of the other
    assert fake.log.count("quick") > 15 * fake.log.count("slow")  # a turn is 20 ms of it


def test_what_slows_the_machine_slows_all_alike():
    fake = Fake(one=0.01, two=0.02)
    fake.slow = lambda turn: 1.0 + 9.0 * (20 < turn < 60)
    times = fake.run(seconds=1.0, rounds=100)
    ratio = measure.spread([two / one for one, two in zip(*times.values(), strict=True)])
    assert ratio.median == pytest.approx(2)
    assert measure.spread(times["one"]).median == pytest.approx(0.01)


def test_bars_know_their_limits():
    def key(contestant, prior="none", guide="delta", case="mlp"):
        return Key(case, 128, 1, prior, guide, contestant)

    ours, hand = key(BAYESREG), key(HAND)
    l2, decay, normal = key(BAYESREG, "l2"), key(DECAY, "l2"), key(BAYESREG, guide="normal", case="resnet18")
    resnet = normal._replace(guide="delta")
    times = {ours: [1.0, 2.0, 1.0], hand: [0.5, 1.0, 2.0], l2: [1.1, 2.2, 1.1], decay: [1.0] * 3}
    times |= {normal: [1.3] * 3, resnet: [1.0] * 3}
    rows = {row["bar"]: (row["ratio"], row["limit"], row["verdict"]) for row in bars.of_times(times)}
    assert rows == {
        "bayesreg / hand-written (none, delta)": (2.0, 1.10, "missed"),
        "l2 / none (delta, bayesreg)": (pytest.approx(1.1), 1.15, "met"),
        "bayesreg / hand-written decay (l2, delta)": (pytest.approx(1.1), None, ""),
        "normal / delta (none, bayesreg)": (1.3, 1.30, "met"),
    }


def test_memory_is_that_of_a_process_of_its_own():
    rise = memory.measure(Key("housing", 128, 1, "none", "delta", HAND), CPU)
    assert set(rise) == set(memory.PARTS)
    assert rise["before"] > 50e6
    assert max(rise["preparing"], rise["training"]) < 500e6


def test_a_tiny_run_leaves_the_tables_the_pictures_and_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measure, "SIZES", (64,))
    options = "--cases housing --priors none l2 --guides delta --seconds 0.02 --no-compile --widths 1 --no-memory"
    step_time.main([*options.split(), "--device", "cpu", "--output", str(tmp_path)])
    tables = "step_time.csv ratios.csv memory.csv epoch.csv profile.csv widths.csv machine.json"
    names = f"{tables} cost.svg cost.png widths.svg widths.png index.html".split()
    assert {path.name for path in tmp_path.iterdir()} == set(names)
    steps = pd.read_csv(tmp_path / "step_time.csv")
    assert (steps["q25_ms"] <= steps["median_ms"]).all()
    assert set(steps["contestant"]) == {BAYESREG, HAND, DECAY, contestants.NAIVE}
    assert (steps["rounds"] >= measure.FEW).all()
    text = (tmp_path / "index.html").read_text()
    assert json.loads((tmp_path / "machine.json").read_text())["command"].endswith("--no-memory --device cpu")
    assert set(re.findall(r'href="([^#":]+)"', text)) <= {path.name for path in tmp_path.iterdir()}
    assert str(tmp_path) not in text
    assert "bayesreg / hand-written (l2, delta)" in text
    first, _, rest = text.partition("<table")
    assert "over 1 network: none " in first
    assert 'id="figure-cost"' in first
    assert '<section id="machine">' in rest
    printed = capsys.readouterr().out
    assert "at most 1.05" in printed
    assert re.search("met|missed", printed)


@pytest.mark.parametrize("options", ["--cases mpl", "--priors l3", "--guides full", "--widths 0", "--device tpu"])
def test_bad_options_are_refused_before_anything_is_measured(tmp_path, capsys, options):
    with pytest.raises(SystemExit, match="2"):
        step_time.main([*options.split(), "--output", str(tmp_path / "none")])
    assert "error: " in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
