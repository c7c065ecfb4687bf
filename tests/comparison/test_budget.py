"""A budget of time: whole rounds of seeds, on a clock that the runs themselves move."""

import json
import os
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from inprocess import InProcess
from torch import nn

import bayesreg as br
from bayesreg.claims import Claimed
from bayesreg.comparison import Comparison, folder, work
from bayesreg.comparison.budget import Budget, OutOfTime, in_seconds
from bayesreg.engine import Job, Local, Outcome
from bayesreg.grid import Run
from bayesreg.memory import Memory
from bayesreg.methods import as_methods
from bayesreg.progress import Progress

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3)).astype("float32")
DATA = br.Data.split(X, X[:, 0], name="mine")
METHODS = ("none", "l1", "l2")  # of a round, 2 × 4 runs tune, and 3 test
TUNE, EDGE, TEST = 8, 2, 3


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@dataclass
class Timed(InProcess):
    """One run at a time, each as long as `takes` says. There is no process."""

    workers: int | None = 1
    clock: Clock = field(default_factory=Clock)
    takes: object = lambda repeat: 1.0

    def outcomes(self, function, shared, jobs):
        self.grids.append(len(jobs))
        for number, job in enumerate(jobs):
            seconds = self.takes(job.content[2])
            for second in range(int(seconds)):
                if second:
                    self.meanwhile()
                self.clock.now += 1
            yield Outcome(number, function(shared, job.content), seconds=seconds)


@pytest.fixture
def grid(monkeypatch, tmp_path):
    """grid(budget, ...) → (the comparison, the runs that it did): results are made, and kept from call to call."""
    kept = {}

    def make(budget=None, best=0.01, takes=lambda repeat: 1.0, **options):
        made = []

        def execute(shared, content):
            task, method, repeat = content
            made.append((task, method, repeat))
            value = 1 + abs(np.log((method.strength or best) / best))
            result = {"status": "done", "message": None, "metrics": {"validation": {"nll": value}, "test": {}}}
            kept[task, method, repeat] = result | {"seconds": {"total": 1.0}, "memory": {"main": 7, "gpu": 0}}
            return result

        monkeypatch.setattr(work, "_execute", execute)
        monkeypatch.setattr(Run, "done", lambda run, directory: kept.get((run.label, run.method, run.repeat)))
        tasks = [br.Task(lambda: nn.Linear(3, 1), DATA, epochs=1)]
        settings = {"tasks": tuple(tasks), "methods": as_methods(METHODS), "seeds": 4, "folds": 1} | options
        engine = settings.setdefault("engine", Timed(takes=takes))
        asked = Comparison(output=Path(tmp_path) / "study", budget=budget, **settings)
        asked.check()
        asked.prepare()
        asked.run(progress=False, clock=engine.clock)
        return asked, made

    make.kept = kept
    return make


def seeds(made, stage):
    """How many runs each seed of a stage has."""
    return dict(Counter(repeat.seed % 10_000 for _, _, repeat in made if repeat.stage == stage))


# --- What fits ---


@pytest.mark.parametrize(
    ("budget", "tuned", "tested"),
    [
        (2 * (3 * TUNE + 3 * EDGE), 3, 4),  # 60: what a third round may bring about fits in half of it too
        (40, 2, 4),
        (2 * (TUNE + EDGE), 1, 4),
        (TUNE + 2 * TEST + 2, 1, 2),  # 2 s before the end there is no time for a third
        (TUNE + TEST, 1, 1),
    ],
    ids=str,
)
def test_as_many_whole_rounds_as_fit_half_of_it_to_tune(grid, budget, tuned, tested):
    asked, made = grid(budget)
    assert seeds(made, "tune") == dict.fromkeys(range(tuned), TUNE)
    assert seeds(made, "test") == dict.fromkeys(range(tested), TEST)
    assert asked.record()["seeds"] == {"mine": tested}
    assert asked.complete == ((tuned, tested) == (3, 4))


@pytest.mark.parametrize("budget", [1, 7, 8, 9, 11, 13, 19, 25, 37])
def test_methods_are_treated_alike_and_the_budget_is_kept(grid, budget):
    asked, made = grid(budget)
    known = folder.settings(asked.output)
    assert known == json.loads(json.dumps(asked.record()))
    assert asked.engine.clock.now <= budget
    runs = {run: run.directory(asked.output).name for run in made_runs(asked, made)}
    counted = [run for run, name in runs.items() if f"mine/{name}" in known["runs"]]
    assert len(counted) == len(known["runs"])
    for stage in ("tune", "test"):
        by_method = Counter(run.method.name for run in counted if run.repeat.stage == stage)
        assert len(set(by_method.values())) <= 1
    assert known["seeds"]["mine"] == len({run.repeat.seed for run in counted if run.repeat.stage == "test"})


def made_runs(asked, made):
    return [Run(asked.named[task], method, repeat, label=task) for task, method, repeat in made]


def test_without_a_budget_all_runs_are_one_queue_a_stage_in_rounds(grid):
    tasks = tuple(br.Task(lambda: nn.Linear(3, 1), DATA, epochs=1, name=name) for name in ("one", "two"))
    asked, made = grid(tasks=tasks, folds=3, seeds=2)
    assert asked.engine.grids == [2 * 2 * 3 * TUNE, 2 * 2 * 3 * TEST]
    first, *others = made
    assert others[0][0] == "two"  # one of each task, to measure it
    order = [(r.stage == "test", r.seed, task, r.fold) for task, _, r in [first, *others[1:]]]
    assert order == sorted(order)
    assert asked.complete
    assert "missing" not in asked.record()


def test_a_round_that_takes_longer_than_it_should_is_cut_off_and_not_reported(grid):
    asked, made = grid(30, takes=lambda repeat: 9.0 if repeat.seed == 2 else 1.0)
    assert seeds(made, "test") == {0: TEST, 1: TEST, 2: 1}  # the second run of it ended after the budget
    assert asked.engine.clock.now == 30
    assert asked.record()["seeds"] == {"mine": 2}
    assert not any("seed2" in place for place in asked.record()["runs"])
    assert asked.failed == []


def test_a_run_that_waits_for_long_is_left_at_the_end_of_the_budget(grid):
    asked, made = grid(100, takes=lambda repeat: 1_000.0)
    assert made == []
    assert asked.engine.clock.now == 100
    assert asked.missing.startswith("not one seed of every method within the budget of 1 min 40 s; the same command")


# --- What is said ---


def test_what_is_missing_is_said(grid, tmp_path):
    asked, _ = grid(TUNE + 2 * TEST)
    said = (
        "2 of 4 seeds, strengths chosen by 1 of 3 within the budget of 14 s; the same command with a longer one resumes"
    )
    assert asked.missing == folder.settings(asked.output)["missing"] == f"{said}."
    assert said in repr(br.Study.open(asked.output))


def test_where_nothing_fits_it_is_said_how_long_a_round_takes_and_nothing_is_recommended(grid):
    asked, made = grid(3)
    assert len(made) == 3
    assert asked.record()["runs"] == []
    assert asked.record()["seeds"] == {"mine": 0}
    said = repr(br.Study.open(asked.output))
    assert f"not one seed of every method, which takes about {TUNE + TEST} s, within the budget of 3 s;" in said
    assert said.endswith("Nothing to recommend: no method finished all the runs that it needs.")


# --- It goes on ---


def test_the_same_without_a_budget_does_the_rest_and_nothing_twice(grid):
    _, first = grid(TUNE + TEST + 1)
    asked, others = grid()
    made = [*first, *others]
    assert len(made) == len(set(made)) == 3 * TUNE + 4 * TEST
    assert asked.complete
    assert asked.record()["seeds"] == {"mine": 4}
    assert len(folder.settings(asked.output)["runs"]) == len(made)


def test_what_is_done_takes_no_time(grid):
    whole, _ = grid()
    asked, made = grid(1)
    assert made == []
    assert asked.complete
    assert asked.record()["runs"] == whole.record()["runs"]
    more, made = grid(2 * TEST + 1, seeds=8)  # the first four are there
    assert seeds(made, "test") == {4: TEST, 5: TEST}
    assert more.record()["seeds"] == {"mine": 6}


def test_what_was_measured_before_counts_for_time_and_memory(grid):
    grid(TUNE + TEST)
    asked, made = grid(TUNE + 1)  # 1 s too short for another round to tune within half of it
    assert seeds(made, "tune") == {}
    assert asked.engine.needs == {"mine": Memory(7, 0)}
    assert seeds(made, "test") == {1: TEST, 2: TEST, 3: TEST}


UNKNOWN = ({"memory": {"main": "much"}, "seconds": [1]}, {"memory": 7, "seconds": {}}, {})


@pytest.mark.parametrize("known", UNKNOWN, ids=str)
def test_results_that_do_not_say_what_they_took_measure_nothing(grid, known):
    grid(TUNE + TEST)
    for run, result in grid.kept.items():
        grid.kept[run] = {name: result[name] for name in ("status", "message", "metrics")} | known
    asked, _ = grid()
    assert asked.complete
    assert asked.engine.needs == {}


# --- Beyond an edge ---


def test_one_more_candidate_for_all_within_the_tuning_half_or_for_none(grid):
    asked, made = grid(2 * (TUNE + EDGE), best=1.0)
    assert seeds(made, "tune") == {0: TUNE + EDGE}
    assert asked.missing.startswith("3 of 4 seeds, strengths chosen by 1 of 3 within")


def test_a_candidate_beyond_an_edge_that_does_not_fit_is_said(grid):
    asked, made = grid(TUNE + EDGE + TEST, best=1.0)
    assert seeds(made, "tune") == {0: TUNE}
    assert asked.missing.startswith("1 of 4 seeds, strengths chosen by 1 of 3, no candidates beyond the grids within")


# --- How it is given ---

TIMES = {"2h": 7200, "90m": 5400, "45s": 45, "1h30m": 5400, "1d2h": 93_600, "1.5h": 5400, "7200": 7200, " 2 H ": 7200}


@pytest.mark.parametrize(("text", "value"), [*TIMES.items(), (90, 90), (0.5, 0.5), (None, None)], ids=str)
def test_a_time(text, value):
    assert in_seconds(text) == value


@pytest.mark.parametrize(
    "text", ["", "2 hours", "h", "30m1h", "-1", 0, -5, float("inf"), float("nan"), True, [3]], ids=str
)
def test_what_is_no_time_is_refused(grid, text):
    with pytest.raises(
        ValueError, match=rf"budget={re.escape(repr(text))} is not a duration: give it as 2h, 90m, 1h30m"
    ):
        grid(text)


def test_a_budget_counts_from_when_it_is_made():
    clock = Clock()
    clock.now = 50.0
    budget = Budget(10, clock)
    clock.now = 56.0
    assert (budget.left(), budget.left(0.5)) == (4, 0)
    budget.check()
    clock.now = 60.0
    with pytest.raises(OutOfTime):
        budget.check()
    Budget(None, clock).check()


# --- Beside other processes ---


def test_runs_that_another_process_is_at_are_said_to_be_elsewhere(grid, monkeypatch):
    said, frees = [], iter([True, False])
    monkeypatch.setattr(work, "is_held", lambda directory: next(frees))
    monkeypatch.setattr(work, "PATIENCE", 0)
    monkeypatch.setattr(Progress, "look", lambda shown: said.append(str(shown)))
    monkeypatch.setattr(Timed, "outcomes", InProcess.outcomes)
    claimed = Timed(errors={1: Claimed("another process is at it")})
    asked, made = grid(engine=claimed, methods=as_methods(["none"]), seeds=2)
    assert claimed.grids == [2, 1]
    assert len(made) == 2
    assert said == ["test 1 of 2 runs", *["test 1 of 2 runs, 1 elsewhere"] * 2, "test 2 of 2 runs"]
    assert asked.complete


# --- Worker processes ---


def sleep(shared, seconds):
    Path(shared).write_text(str(os.getpid()))
    time.sleep(seconds)


def test_a_worker_is_stopped_in_the_middle_of_a_run(tmp_path):
    engine, marker, looks = Local(workers=1), tmp_path / "process", []

    def look():
        looks.append(engine.running)
        if marker.exists() and marker.read_text():
            raise OutOfTime

    engine.meanwhile = look
    with engine, pytest.raises(OutOfTime):
        list(engine.outcomes(sleep, str(marker), [Job(600)]))
    assert looks
    with pytest.raises(ProcessLookupError):
        os.kill(int(marker.read_text()), 0)
