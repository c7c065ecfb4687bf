"""A run of a comparison: methods are paired, a tuning run never sees the test data, finished runs are recognised."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import bayesreg as br
from bayesreg import runs
from bayesreg.grid import Repeat, Run, data_of
from bayesreg.methods import Method

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3)).astype("float32")
Y = (X[:, 0] + rng.normal(size=40)).astype("float32")
FOLD = Repeat(10_000, "tune", partition=0, fold=0, folds=3)


def task(y=Y, **options):
    settings = {"epochs": 2, "batch_size": 8, "lr": 1e-2} | options
    return br.Task(lambda: nn.Sequential(nn.Linear(3, 4), nn.SiLU(), nn.Linear(4, 1)), (X, y), **settings)


def execute(run, root):
    return run.execute(run.directory(root), shared=root / "baselines")


# --- Paired ---


@pytest.mark.parametrize("method", ["l2:0.1", "l2:0.1@normal", "dropout:0.2", "early_stopping", "adamw:0.1"])
def test_every_method_of_a_seed_begins_at_the_same_weights(method):
    def start(text, seed):
        return dict(Run(task(), Method.parse(text), Repeat(seed)).build().model.net.named_parameters())

    plain = [start("none", seed) for seed in (0, 1)]
    for seed in (0, 1):
        ours = start(method, seed)
        assert all(torch.equal(ours[name], value) for name, value in plain[seed].items())
    assert not any(torch.equal(plain[0][name], value) for name, value in plain[1].items())


class Seen:
    """What is done to x of each batch: a change by chance, and a record of the batches."""

    def __init__(self):
        self.batches = []

    def __call__(self, x):
        self.batches.append((x.clone(), made := x + torch.randn_like(x)))
        return made


@pytest.mark.parametrize("method", ["l2:0.1", "l2:0.1@normal", "dropout:0.2", "early_stopping", "adamw:0.1"])
def test_every_method_of_a_seed_sees_the_same_batches_under_the_same_augmentation(method, tmp_path):
    seen = {}
    for text in ("none", method):
        seen[text] = Seen()
        execute(Run(task(augment=seen[text]), Method.parse(text), Repeat(3, "tune")), tmp_path / text)
    assert len(seen["none"].batches) == len(seen[method].batches) > 2
    for ours, plain in zip(seen[method].batches, seen["none"].batches, strict=True):
        assert torch.equal(ours[0], plain[0])
        assert torch.equal(ours[1], plain[1])


def test_every_method_of_a_seed_has_the_same_rows():
    one = task()
    for method in ("none", "l2:0.1", "early_stopping"):
        data = Run(one, Method.parse(method), FOLD).build().data
        assert data.rows.test.tolist() == data_of(one, FOLD).rows.test.tolist()


# --- Tuning and test ---


class Locked(torch.Tensor):
    """Targets whose values nobody may read."""

    @classmethod
    def __torch_function__(cls, function, kinds, args=(), kwargs=None):
        if function.__name__ in ("dim", "__len__", "__get__", "size"):
            return super().__torch_function__(function, kinds, args, kwargs or {})
        raise AssertionError(f"a run that tunes reads the test data: {function.__name__}")


def test_a_run_that_tunes_never_sees_the_test_data(tmp_path):
    one = task()
    one.record()  # its digest, which names the data
    test = one._data.test
    locked = object.__new__(br.Dataset)
    for name in ("x", "y"):
        object.__setattr__(locked, name, getattr(test, name).as_subclass(Locked))
    with pytest.raises(AssertionError, match="reads the test data"):
        locked.take([0])
    one._data = replace(one._data, test=locked)
    run = Run(one, Method.parse("l2:0.1"), Repeat(10_000, "tune"))
    run.check()
    outcome = execute(run, tmp_path)
    assert outcome["status"] == "done"
    assert outcome["metrics"]["validation"]["nll"] > 0
    assert outcome["metrics"]["test"] == {}
    there = {path.name for path in run.directory(tmp_path).iterdir()}
    assert there & {"posterior.pt", "scores.npz", "baselines.json"} == set()
    with pytest.raises(AssertionError, match="reads the test data"):
        execute(run.under(repeat=Repeat(0, "test")), tmp_path)


def test_the_test_rows_of_a_fold_do_not_reach_its_choice(tmp_path):
    rows = data_of(task(), FOLD).rows
    other = Y.copy()
    other[rows.test] = 1000 * rng.normal(size=len(rows.test))
    for strength in (0.01, 1.0):
        one, two = (
            execute(Run(task(y), Method.parse(f"l2:{strength}"), FOLD), tmp_path / str(n))["metrics"]
            for n, y in enumerate((Y, other))
        )
        assert one == two
        assert one["validation"]
    elsewhere = replace(FOLD, fold=1)  # there they are trained on
    one, two = (
        execute(Run(task(y), Method("none"), elsewhere), tmp_path / f"{n}")["metrics"] for n, y in enumerate((Y, other))
    )
    assert one != two


def test_every_row_is_tested_once_a_seed_and_partitions_differ_by_seed():
    one = task()
    tested = [[data_of(one, Repeat(s, "test", s, fold, 3)).rows.test.tolist() for fold in range(3)] for s in (0, 1)]
    for folds in tested:
        assert sorted(row for fold in folds for row in fold) == list(range(40))
    assert tested[0] != tested[1]


# --- Known and not done again ---


def test_what_is_done_is_known_by_its_own_configuration_alone(tmp_path):
    run = Run(task(), Method.parse("l2:0.1"), Repeat(0, "test"))
    directory = run.directory(tmp_path)
    assert run.done(directory) is None
    outcome = execute(run, tmp_path)
    assert run.done(directory)["metrics"] == outcome["metrics"]
    assert run.under(repeat=Repeat(1, "test")).done(directory) is None
    (directory / "baselines.json").unlink()  # it was stopped before its baselines
    assert run.done(directory) is None
    assert execute(run, tmp_path)["baselines"] == outcome["baselines"] != {}
    (directory / "posterior.pt").write_bytes(b"damaged")
    assert run.done(directory) is None


def test_a_run_is_named_after_what_it_holds_whatever_it_is_called(tmp_path):
    run = Run(task(name="../<b>/ü"), Method.parse("l2:0.1@normal"), FOLD, label="mine")
    directory = run.directory(tmp_path)
    assert directory.parent.parent == tmp_path
    assert directory.name == f"l2=0=1@normal_seed10000_fold0_{runs.key(run.config)}"
    assert str(run) == "mine l2:0.1@normal seed 10000 fold 1/3 of partition 0"
    assert json.loads(json.dumps(run.config))["replicate"] == FOLD.record()


# --- Refused ---


@pytest.mark.parametrize(("name", "value"), [("epochs", 0), ("batch_size", 0), ("epochs", 1.5), ("lr", -1.0)])
def test_options_of_training_are_checked_as_they_are(name, value):
    one = task()
    one._settings = one._settings | {name: value}
    with pytest.raises(ValueError, match=rf"fit\({name}={value}\)"):
        Run(one, Method("none")).check()


def test_options_of_training_that_are_left_out_are_right():
    Run(task(epochs=None, batch_size=None), Method("none")).check()
