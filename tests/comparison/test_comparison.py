"""The two stages of a comparison, with invented results, not training: what is tried, chosen, tested, refused."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from inprocess import InProcess
from torch import nn

import bayesreg as br
from bayesreg.comparison import Comparison, folder, work
from bayesreg.engine import Local
from bayesreg.methods import as_methods

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3)).astype("float32")
Y = (X[:, 0] + rng.normal(size=40)).astype("float32")
DATA = br.Data.split(X, Y, name="mine")


def net():
    return nn.Linear(3, 1)


def asked(output, methods=("none", "l2", "dropout", "early_stopping"), tasks=None, **options):
    tasks = tasks or (br.Task(lambda: nn.Sequential(nn.Linear(3, 4), nn.SiLU(), nn.Linear(4, 1)), DATA, epochs=1),)
    return Comparison(
        tuple(tasks), as_methods(methods), Path(output), **({"seeds": 4, "folds": 1, "engine": InProcess()} | options)
    )


@pytest.fixture
def done(monkeypatch, tmp_path):
    """done(judge, **options) → (the comparison, the runs that it asked for); judge(method, repeat) → validation NLL."""

    def make(judge, **options):
        made = []

        def execute(shared, content):
            task, method, repeat = content
            made.append((task, method, repeat))
            value = judge(method, repeat)
            status = "done" if np.isfinite(value) else "diverged"
            validation = {"nll": value, "r2": -value} if status == "done" else {}
            return {"status": status, "message": None, "metrics": {"validation": validation, "test": {}}}

        monkeypatch.setattr(work, "_execute", execute)
        grid = asked(tmp_path / "study", **options)
        grid.check()
        grid.prepare()
        grid.run(progress=False)
        return grid, made

    return make


def of(made, stage, name=None):
    return [(m, r) for _, m, r in made if r.stage == stage and name in (None, m.name)]


def bowl(best):
    """Least at one strength."""
    return lambda method, repeat: 1.0 if method.strength is None else 1 + abs(np.log(method.strength / best))


# --- Stages ---


def test_strengths_are_chosen_by_seeds_of_their_own_and_tested_with_fresh_ones(done):
    _, made = done(bowl(0.1), methods=["none", "l2", "dropout"], seeds=5)
    tuned, tested = of(made, "tune"), of(made, "test")
    assert {r.seed for _, r in tuned} == {10_000, 10_001, 10_002}
    assert {r.seed for _, r in tested} == {0, 1, 2, 3, 4}
    assert {m.name for m, _ in tuned} == {"l2", "dropout"}  # none has nothing to choose
    assert {m.text for m, _ in tested} == {"none", "l2:0.1", "dropout:0.1"}
    assert len(tested) == len(set(tested)) == 15
    assert len(made) == len({(m.text, r) for _, m, r in made})  # nothing twice


def test_an_interior_best_ends_the_tuning(done):
    _, made = done(bowl(0.1))
    for name in ("l2", "dropout"):
        assert len({m.text for m, _ in of(made, "tune", name)}) == 4


def test_at_an_edge_every_tuned_method_gets_one_more_candidate(done):
    _, made = done(lambda m, r: bowl(1.0 if m.name == "l2" else 0.1)(m, r))
    tried = {name: sorted({m.strength for m, _ in of(made, "tune", name)}) for name in ("l2", "dropout")}
    assert tried["l2"] == [0.001, 0.01, 0.1, 1.0, 10.0]  # one beyond the last, which was the best
    assert len(tried["dropout"]) == 5
    assert {m.strength for m, _ in of(made, "test", "l2")} == {1.0}


def test_once_at_most(done):
    _, made = done(lambda m, r: -(m.strength or 0))
    assert max(m.strength for m, _ in of(made, "tune", "l2")) == 10.0
    assert len({m.text for m, _ in of(made, "tune", "dropout")}) == 5
    assert {m.strength for m, _ in of(made, "test", "l2")} == {10.0}


def test_the_weakest_is_an_edge_too(done):
    _, made = done(bowl(1e-3), methods=["none", "l2"])
    assert min(m.strength for m, _ in of(made, "tune")) == 1e-4
    assert {m.strength for m, _ in of(made, "test", "l2")} == {1e-3}


def test_by_another_metric_more_is_better(done):
    _, made = done(lambda m, r: -bowl(0.1)(m, r), methods=["none", "l2"], select="r2")
    assert {m.strength for m, _ in of(made, "test", "l2")} == {1e-4}  # the farthest


def test_each_fold_chooses_for_itself(done):
    best = dict(zip(itertools.product(range(2), range(3)), [0.01, 0.1, 0.01, 0.1, 0.1, 0.01], strict=True))
    _, made = done(lambda m, r: bowl(best[r.partition, r.fold])(m, r), methods=["none", "l2"], seeds=2, folds=3)
    tuned, tested = of(made, "tune", "l2"), of(made, "test", "l2")
    assert {(r.partition, r.fold): m.strength for m, r in tested} == best
    assert len(tuned) == 4 * len(tested) == 24  # one run per candidate, fold and partition
    assert {r.seed for _, r in tuned} == {10_000, 10_001}
    assert all(r.seed == r.partition for _, r in tested)


def test_a_strength_that_diverges_is_not_chosen(done):
    _, made = done(lambda m, r: np.nan if m.strength == 0.1 and r.seed == 10_002 else bowl(0.1)(m, r))
    assert len(of(made, "test", "l2")) == 4
    assert 0.1 not in {m.strength for m, _ in of(made, "test", "l2")}


def test_a_method_whose_strengths_all_diverge_is_not_tested(done):
    _, made = done(lambda m, r: np.nan if m.name == "l2" else bowl(0.1)(m, r))
    assert of(made, "test", "l2") == []
    assert len(of(made, "test", "dropout")) == 4


def test_a_fixed_strength_is_not_tuned(done):
    _, made = done(bowl(0.1), methods=["none", "l2:0.5", "l2"])
    assert {m.text for m, _ in of(made, "tune")} == {"l2:0.001", "l2:0.01", "l2:0.1", "l2:1.0"}
    assert {m.text for m, _ in of(made, "test")} == {"none", "l2:0.5", "l2:0.1"}


def test_tasks_choose_for_themselves(done):
    tasks = [br.Task(net, DATA, epochs=1, name=name) for name in ("one", "two")]
    grid, made = done(bowl(0.1), methods=["none", "l2"], tasks=tasks)
    assert {task for task, _, _ in made} == {"one", "two"}
    assert set(grid.record()["tasks"]) == {"one", "two"}


# --- What is recorded ---


def test_a_study_is_the_runs_that_it_asked_for(done, tmp_path):
    grid, made = done(bowl(0.1), methods=["none", "l2"])
    kept = folder.settings(tmp_path / "study")
    assert kept == json.loads(json.dumps(grid.record()))
    assert len(kept["runs"]) == len(made)
    assert kept["folds"] == {"mine": 1}


def test_a_method_without_a_meaning_is_refused_with_its_reason_and_the_others_run(done, caplog):
    def relu():
        return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))

    grid, made = done(bowl(0.1), methods=["none", "smoothness"], tasks=[br.Task(relu, DATA, epochs=1)])
    assert {m.name for _, m, _ in made} == {"none"}
    reason = grid.refused["mine", "smoothness"]
    assert "ReLU" in reason
    assert f"smoothness refused on mine: {reason}" in caplog.messages
    (found,) = (json.loads(p.read_text()) for p in (grid.output / "mine").glob("smoothness*/result.json"))
    assert (found["status"], found["message"]) == ("refused", reason)


def test_a_killed_worker_costs_its_run_alone(done):
    grid, _ = done(bowl(0.1), methods=["none", "l2"])
    engine = InProcess(errors={1: RuntimeError("its worker was killed")})
    again = asked(grid.output, methods=["none", "l2"], engine=engine)
    again.prepare()
    again.run(progress=False)
    assert len(again.failed) == 2  # one of each stage
    assert all("its worker was killed" in message and "seed" in message for message in again.failed)


# --- Refused before training ---


def refused(tmp_path, **options):
    grid = asked(tmp_path / "study", **options)
    grid.check()
    grid.prepare()
    raise NotImplementedError("not refused")


def small(features=3):
    return lambda: nn.Linear(features, 1)


TASKS = {
    "other inputs": ([br.Task(small(7), DATA)], "does not take x of shape"),
    "other outputs": ([br.Task(lambda: nn.Linear(3, 5), DATA)], r"outputs"),
    "two of a name": ([br.Task(net, DATA), br.Task(net, (X, Y), name="mine")], "two tasks are called 'mine'.*name="),
}


@pytest.mark.parametrize(("tasks", "said"), TASKS.values(), ids=TASKS)
def test_a_task_that_cannot_be_trained_is_refused(tasks, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        refused(tmp_path, tasks=tasks)
    assert not (tmp_path / "study").exists()


VALUES = (
    {
        f"{name}={value}": ({name: value}, rf"compare\({name}={value}\)")
        for name in ("seeds", "folds")
        for value in (0, -1, True, 2.5)
    }
    | {
        f"workers={value}": ({"engine": Local(workers=value)}, rf"compare\(workers={value}\)")
        for value in (0, -1, True, 2.5)
    }
    | {
        f"timeout={value}": ({"engine": Local(timeout=value)}, rf"timeout={value}: give seconds")
        for value in (0.0, -1.0, float("nan"))
    }
    | {
        "two folds": ({"folds": 2}, "folds=2 on mine: .*whole number, 3 to 20"),
        "more folds than rows": ({"folds": 30}, "folds=30 on mine: .*3 to 20"),
        "no metric": ({"select": "loss"}, "select='loss' is not a metric: accuracy"),
        "a metric of classes": (
            {"select": "accuracy"},
            "select='accuracy' is not a metric of mine: mse, rmse, r2, nll",
        ),
        "no task": ({"tasks": ()}, "no task"),
    }
)


@pytest.mark.parametrize(("options", "said"), VALUES.values(), ids=VALUES)
def test_values_that_make_no_comparison_are_refused(options, said, tmp_path):
    grid = asked(tmp_path / "study")
    for name, value in options.items():
        setattr(grid, name, value)
    with pytest.raises(ValueError, match=said):
        grid.check()


def test_methods_of_one_name_are_refused(tmp_path):
    others = [br.L2(scale=1.0, on=lambda name, p: True), br.L2(scale=1.0, on=lambda name, p: p.dim() == 1)]
    with pytest.raises(ValueError, match=r"two methods are called 'l2\(scale=1.0, on=.*<lambda>\)'"):
        asked(tmp_path / "study", methods=others).check()


class Split(nn.Module):
    """A network of two inputs."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, first, rest):
        return self.layer(torch.cat([first, rest], -1))


@pytest.mark.parametrize("x", [(X[:, :1], X[:, 1:]), {"first": X[:, :1], "rest": X[:, 1:]}], ids=["tuple", "dict"])
def test_inputs_may_be_several_in_folds_too(x, done):
    task = br.Task(Split, (x, Y), epochs=1)
    _, made = done(bowl(0.1), tasks=[task], methods=["none", "l2"], folds=3, seeds=1)
    assert len(of(made, "test")) == 2 * 3


def test_a_network_that_does_not_fit_every_fold_is_refused_with_the_fold(tmp_path):
    table = pd.DataFrame({"kind": ["a"] * 19 + ["b"] * 19 + ["c"] * 2, "x": X[:, 0], "y": Y})
    data = br.Data.from_table(table, target="y", name="rare")
    width = data.fold(0, 3, 0).features[0]
    task = br.Task(lambda: nn.Linear(width, 1), data, epochs=1)
    with pytest.raises(ValueError, match=r"rare, seed \d fold \d/3 of partition \d, where.*net=None.*folds=1"):
        refused(tmp_path, tasks=[task], folds=3)
    with pytest.raises(NotImplementedError):
        refused(tmp_path, tasks=[br.Task(None, data, epochs=1)], folds=3)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "study").write_text("a file")
    with pytest.raises(ValueError, match=r"study cannot be written.*choose another directory"):
        refused(tmp_path)


OTHERS = {
    "epochs": ({"tasks": [br.Task(net, DATA, epochs=2)]}, "epochs"),
    "data": ({"tasks": [br.Task(net, (X, Y + 1), name="mine", epochs=1)]}, "data"),
    "network": ({"tasks": [br.Task(lambda: nn.Linear(3, 1, bias=False), DATA, epochs=1)]}, "network"),
    "folds": ({"folds": 3}, "folds"),
}


@pytest.mark.parametrize(("options", "said"), OTHERS.values(), ids=OTHERS)
def test_a_folder_of_another_study_is_refused_with_what_differs(done, tmp_path, options, said):
    tasks = [br.Task(net, DATA, epochs=1)]
    done(bowl(0.1), methods=["none"], tasks=tasks)
    before = (tmp_path / "study" / "study.json").read_bytes()
    with pytest.raises(ValueError, match=rf"holds the study of another task 'mine' \(its {said} differ\)"):
        refused(tmp_path, methods=["none"], **({"tasks": tasks} | options))
    assert (tmp_path / "study" / "study.json").read_bytes() == before


def test_until_it_is_done_a_folder_keeps_the_study_before(done, tmp_path):
    done(bowl(0.1), methods=["none"])
    before = folder.settings(tmp_path / "study")
    asked(tmp_path / "study", methods=["none", "l2"]).prepare()
    assert folder.settings(tmp_path / "study") == before


DAMAGED = {
    "no JSON": "{",
    "a list": "[]",
    "nothing in it": "{}",
    "tasks of no kind": json.dumps({name: kind() for name, kind in folder.KINDS.items()} | {"tasks": []}),
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_study_is_refused_with_the_remedy(text, tmp_path):
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(ValueError, match=r"study\.json.*move it away and make the comparison again"):
        folder.settings(tmp_path)


def test_a_folder_without_a_study_and_one_of_another_version(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no study"):
        folder.settings(tmp_path)
    known = {name: kind() for name, kind in folder.KINDS.items()} | {"format": 99, "version": "9.1"}
    (tmp_path / "study.json").write_text(json.dumps(known))
    with pytest.raises(ValueError, match=r"a study of bayesreg 9\.1, which this version cannot read"):
        folder.settings(tmp_path)


def test_a_pickle_that_cannot_be_read_is_told(tmp_path):
    for content in (None, b"nothing"):
        if content:
            (tmp_path / "study.pkl").write_bytes(content)
        with pytest.raises(ValueError, match=r"study\.pkl cannot be read .*make the comparison again"):
            folder.pickled(tmp_path)


def test_nothing_draws_from_the_callers_random_numbers(tmp_path):
    state = torch.random.get_rng_state()
    grid = asked(tmp_path / "study")
    grid.check()
    grid.prepare()
    assert torch.equal(torch.random.get_rng_state(), state)
