"""A run's directory: whole or not there, never another's, never done twice, resumed where it stopped."""

import errno
import json
import math
import multiprocessing
import os
import threading
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock

import bayesreg as br
from bayesreg import files, runs
from bayesreg.datasets import Data

CONFIG = {"experiment": "made", "prior": "l2:0.001", "seed": 0}
OPTIONS = {"epochs": 3, "batch_size": 8, "device": "cpu", "progress": False}


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(48, 3, generator=generator)
    y = x @ torch.tensor([1.0, -2.0, 0.5]) + 0.1 * torch.randn(48, generator=generator)
    parts = [br.Dataset(x[s], y[s]) for s in (slice(32), slice(32, 40), slice(40, 48))]
    return Data("made", *parts, classes=None, target="made", provenance={})


def make_model(data, scale=0.1):
    torch.manual_seed(0)
    return br.Model(torch.nn.Linear(3, 1), br.L2(scale=1.0), br.Gaussian(scale=scale), len(data.train))


def test_a_run_records_everything_and_its_weights_come_back(tmp_path, data):
    model = make_model(data)
    outcome = runs.execute(tmp_path / "run", CONFIG, model, data, **OPTIONS)

    folder = tmp_path / "run"
    assert json.loads((folder / "config.json").read_text()) == CONFIG
    assert json.loads((folder / "result.json").read_text()) == outcome
    assert outcome["status"] == "done"
    history = pd.read_csv(folder / "history.csv")
    assert list(history["epoch"]) == [1, 2, 3]
    assert {"seconds", "loss", "loss_likelihood", "validation_mse"} <= set(history)
    assert not (folder / "checkpoint.pt").exists()
    (prior,) = outcome["priors"]
    assert prior["natural"]["scale"] == 1.0
    assert prior["strength"] == pytest.approx(1 / 32)
    assert torch.__version__.startswith(outcome["versions"]["torch"])

    posterior = runs.load(folder, torch.nn.Linear(3, 1))
    assert posterior.evaluate(data.test) == pytest.approx(outcome["metrics"]["test"], rel=1e-6)
    assert posterior.evaluate(data.validation) == pytest.approx(outcome["metrics"]["validation"], rel=1e-6)


def test_what_each_test_example_contributed_is_kept(tmp_path, data):
    metrics = runs.execute(tmp_path, CONFIG, make_model(data), data, **OPTIONS)["metrics"]["test"]
    kept = runs.scores(tmp_path)
    assert list(kept["row"]) == list(range(len(data.test)))
    assert np.mean(kept["nll"]) == pytest.approx(metrics["nll"], rel=1e-5)
    assert np.mean(kept["mse"]) == pytest.approx(metrics["mse"], rel=1e-5)
    mean, variance = data.train.y.mean().item(), data.train.y.var(correction=0).item()
    constant = 0.5 * ((data.test.y - mean) ** 2 / variance + math.log(2 * math.pi * variance))
    assert np.allclose(kept["constant"], constant, rtol=0.1)  # whose variance may be that of rows left out


def test_the_gap_and_the_sparsity_are_recorded(tmp_path, data):
    """Of the three weights one is set to zero and one to 1e-4; the bias does not count."""
    outcome = runs.execute(tmp_path, CONFIG, make_model(data), data, **OPTIONS)
    posterior = runs.load(tmp_path, torch.nn.Linear(3, 1))
    assert outcome["metrics"]["train"] == pytest.approx(posterior.evaluate(data.train.take(range(0, 32, 4))), rel=1e-6)
    assert outcome["sparsity"] == {"zero": 0, "small": 0}
    weights = torch.tensor([[0.0, 1e-4, 1.0]])
    posterior.parameters = lambda: {"weight": weights, "bias": torch.zeros(1)}
    assert runs.sparsity(posterior) == pytest.approx({"zero": 1 / 3, "small": 2 / 3})


def test_how_sure_each_predicted_class_was_is_kept(tmp_path, data):
    """So that the bins of a reliability diagram give the ECE; of numbers there is nothing to keep."""
    parts = [br.Dataset(part.x, (part.x[:, 0] > 0).long()) for part in (data.train, data.validation, data.test)]
    classes = Data("made", *parts, classes=2, target="made", provenance={})
    model = br.Model(torch.nn.Linear(3, 2), br.L2(scale=1.0), br.Categorical(), len(classes.train))
    runs.execute(tmp_path / "classes", CONFIG, model, classes, **OPTIONS)
    probs = runs.load(tmp_path / "classes", torch.nn.Linear(3, 2)).predict(classes.test.x).probs
    assert runs.scores(tmp_path / "classes")["confidence"] == pytest.approx(probs.max(-1).values.numpy(), rel=1e-6)
    runs.execute(tmp_path / "numbers", CONFIG, make_model(data), data, **OPTIONS)
    assert "confidence" not in runs.scores(tmp_path / "numbers")


class Sealed:
    """A split of which only the size may be seen."""

    def __len__(self):
        return 8


def test_a_run_that_helps_to_choose_leaves_the_test_split_alone(tmp_path, data):
    untested = replace(data, test=Sealed())
    outcome = runs.execute(tmp_path, CONFIG, make_model(data), untested, test=False, **OPTIONS)
    assert outcome["metrics"]["test"] == {}
    assert outcome["metrics"]["validation"]["nll"] == pytest.approx(
        runs.execute(tmp_path / "tested", CONFIG, make_model(data), data, **OPTIONS)["metrics"]["validation"]["nll"]
    )
    assert not (tmp_path / "scores.npz").exists()
    assert runs.done(tmp_path, CONFIG) == outcome


@pytest.mark.parametrize("content", [b"", b"PK", b"<html>"])
def test_damaged_scores_are_named(tmp_path, content):
    with pytest.raises(FileNotFoundError):
        runs.scores(tmp_path)
    (tmp_path / "scores.npz").write_bytes(content)
    with pytest.raises(files.Unusable, match=r"scores\.npz cannot be read"):
        runs.scores(tmp_path)


def test_what_is_done_is_not_done_again(tmp_path, data):
    first = runs.execute(tmp_path, CONFIG, make_model(data), data, **OPTIONS)
    written = os.stat(tmp_path / "posterior.pt").st_mtime_ns
    assert runs.execute(tmp_path, CONFIG, make_model(data), data, **OPTIONS) == first
    assert os.stat(tmp_path / "posterior.pt").st_mtime_ns == written


def test_another_configuration_is_refused_and_leaves_the_run_as_it_was(tmp_path, data):
    runs.execute(tmp_path, CONFIG, make_model(data), data, **OPTIONS)
    before = (tmp_path / "result.json").read_bytes()
    with pytest.raises(ValueError, match=r"another configuration \(seed: 0 there, 1 here\).*--output"):
        runs.execute(tmp_path, CONFIG | {"seed": 1}, make_model(data), data, **OPTIONS)
    assert (tmp_path / "result.json").read_bytes() == before


def test_the_option_that_differs_is_named_in_its_group(tmp_path):
    runs.prepare(tmp_path, {"candidate": {"prior": "ard", "ard": {"a": 1.0}}, "replicate": {"seed": 0}})
    with pytest.raises(ValueError, match=r"another configuration \(candidate.ard.a: 1.0 there, 2.0 here\)"):
        runs.prepare(tmp_path, {"candidate": {"prior": "ard", "ard": {"a": 2.0}}, "replicate": {"seed": 0}})


def test_a_directory_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="holds other files"):
        runs.prepare(tmp_path, CONFIG)


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot be written.*--output"):
        runs.prepare(tmp_path / "file" / "run", CONFIG)


def test_a_broken_config_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="not readable as JSON"):
        runs.prepare(tmp_path, CONFIG)


def test_a_run_that_another_process_is_at_is_refused(tmp_path, data):
    runs.prepare(tmp_path, CONFIG)
    with FileLock(tmp_path / ".claim"), pytest.raises(ValueError, match="another process"):
        runs.execute(tmp_path, CONFIG, make_model(data), data, **OPTIONS)


def test_a_diverged_run_is_recorded_and_not_tried_again(tmp_path, data):
    model = make_model(data, scale=1e-30)  # 1/σ² overflows float32
    outcome = runs.execute(tmp_path, CONFIG, model, data, **OPTIONS)
    assert outcome["status"] == "diverged"
    assert "epoch 1, step 1" in outcome["message"]
    assert outcome["metrics"] == {"validation": {}, "test": {}}
    assert runs.result(tmp_path) == outcome
    assert pd.read_csv(tmp_path / "history.csv").empty


def _killed_at_the_second_epoch(folder, data):
    fit = __import__("importlib").import_module("bayesreg.fit")
    save, fit.SAVED_EVERY = fit._Run.save, -1.0
    count = iter(range(9))

    def save_and_die(self, checkpoint):
        save(self, checkpoint)
        if next(count) == 1:
            os._exit(9)

    fit._Run.save = save_and_die
    runs.execute(folder, CONFIG, make_model(data), data, **OPTIONS)


def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_happened(tmp_path, data):
    process = multiprocessing.get_context("spawn").Process(
        target=_killed_at_the_second_epoch, args=(tmp_path / "killed", data)
    )
    process.start()
    process.join(120)
    assert process.exitcode == 9
    assert runs.result(tmp_path / "killed") is None
    assert (tmp_path / "killed" / "checkpoint.pt").exists()

    resumed = runs.execute(tmp_path / "killed", CONFIG, make_model(data), data, **OPTIONS)
    whole = runs.execute(tmp_path / "whole", CONFIG, make_model(data), data, **OPTIONS)
    assert resumed["metrics"] == whole["metrics"]
    losses = [list(pd.read_csv(tmp_path / name / "history.csv")["loss"]) for name in ("killed", "whole")]
    assert losses[0] == losses[1]


def test_the_key_depends_on_the_configuration_and_not_on_its_order():
    assert runs.key({"a": 1, "b": 2}) == runs.key({"b": 2, "a": 1})
    assert runs.key({"a": 1}) != runs.key({"a": 2})


def test_a_refusal_is_a_result_until_the_run_can_be_built(tmp_path, data):
    runs.refuse(tmp_path / "run", CONFIG, "it has no meaning")
    refused = runs.result(tmp_path / "run")
    assert (refused["status"], refused["message"]) == ("refused", "it has no meaning")
    done = runs.execute(tmp_path / "run", CONFIG, make_model(data), data, **OPTIONS)
    assert done["status"] == "done"
    runs.refuse(tmp_path / "run", CONFIG, "it has no meaning")
    assert runs.result(tmp_path / "run") == done


@pytest.mark.parametrize("left", [".config.json.1.part", ".claim"])
def test_what_a_kill_has_left_before_the_configuration_was_there_blocks_nothing(tmp_path, data, left):
    (tmp_path / left).write_text('{"experi')
    assert runs.execute(tmp_path, CONFIG, make_model(data), data, **OPTIONS)["status"] == "done"
    names = {path.name for path in tmp_path.iterdir()}
    assert names - {".claim"} == {"config.json", "history.csv", "posterior.pt", "result.json", "scores.npz"}


def test_halves_of_killed_processes_are_removed(tmp_path, data):
    runs.prepare(tmp_path, CONFIG)
    for name in ("config.json", "checkpoint.pt", "posterior.pt", "history.csv", "result.json"):
        (tmp_path / f".{name}.1.part").touch()
    runs.execute(tmp_path, CONFIG, make_model(data), data, **OPTIONS)
    assert not list(tmp_path.glob(".*.part"))


DONE = {
    "status": "done",
    "message": None,
    "metrics": {"validation": {}, "test": {}},
    "seconds": {"epoch": 1.0},
    "device": "cpu",
}
DAMAGE = {
    "result.json": [b"", b'{"status": "do', b"[]", b'"done"', b'{"status": "done"}', b"\xff"],
    "posterior.pt": [b"", b"PK", b"<html>"],
}
ODD = [  # what no run writes
    {"status": "well"},
    {"status": ["done"]},
    {"metrics": 3},
    {"metrics": {"validation": {}, "test": None}},
    {"metrics": {"validation": {"mse": "1"}, "test": {}}},
    {"seconds": {}},
    {"seconds": {"epoch": "1"}},
    {"device": None},
]
DAMAGE["result.json"] += [json.dumps(DONE | odd).encode() for odd in ODD]


@pytest.mark.parametrize(("name", "number"), [(name, number) for name in DAMAGE for number in range(len(DAMAGE[name]))])
def test_a_run_whose_result_or_weights_are_damaged_is_done_again(tmp_path, data, caplog, name, number):
    first = runs.execute(tmp_path, CONFIG, make_model(data), data, **OPTIONS)
    weights = torch.load(tmp_path / "posterior.pt", weights_only=True)["parameters"]
    (tmp_path / name).write_bytes(DAMAGE[name][number])
    again = runs.execute(tmp_path, CONFIG, make_model(data), data, **OPTIONS)
    assert again["metrics"] == first["metrics"]
    assert f"{tmp_path / name}" in caplog.text
    assert "does not count as done" in caplog.text
    once_more = torch.load(tmp_path / "posterior.pt", weights_only=True)["parameters"]
    assert all(torch.equal(value, once_more[name]) for name, value in weights.items())


def test_the_result_of_another_run_or_one_without_its_weights_is_not_taken(tmp_path, data, caplog):
    first = runs.execute(tmp_path / "run", CONFIG, make_model(data), data, **OPTIONS)
    other = CONFIG | {"replicate": {"seed": 7}}
    runs.execute(tmp_path / "other", other, make_model(data), data, **OPTIONS | {"seed": 7})
    assert runs.result(tmp_path / "run") == first
    (tmp_path / "run" / "result.json").write_bytes((tmp_path / "other" / "result.json").read_bytes())
    assert runs.result(tmp_path / "run") is None
    assert "result.json is the result of another run" in caplog.text
    assert runs.execute(tmp_path / "run", CONFIG, make_model(data), data, **OPTIONS)["metrics"] == first["metrics"]
    (tmp_path / "run" / "posterior.pt").unlink()
    assert runs.result(tmp_path / "run") is None
    assert "posterior.pt" in caplog.text


def test_a_bit_of_the_weights_that_flipped_is_noticed_without_reading_them(tmp_path, data, monkeypatch, caplog):
    first = runs.execute(tmp_path, CONFIG, make_model(data), data, **OPTIONS)
    monkeypatch.setattr(torch, "load", None)
    assert runs.done(tmp_path, CONFIG) == runs.result(tmp_path) == first
    weights = bytearray((tmp_path / "posterior.pt").read_bytes())
    weights[len(weights) // 2] ^= 4
    (tmp_path / "posterior.pt").write_bytes(weights)
    assert runs.done(tmp_path, CONFIG) is None
    assert f"{tmp_path / 'posterior.pt'} is not a posterior" in caplog.text


def test_a_damaged_checkpoint_is_begun_anew(tmp_path, data, caplog):
    runs.prepare(tmp_path / "run", CONFIG)
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"half of")
    outcome = runs.execute(tmp_path / "run", CONFIG, make_model(data), data, **OPTIONS)
    assert outcome["metrics"] == runs.execute(tmp_path / "whole", CONFIG, make_model(data), data, **OPTIONS)["metrics"]
    assert "checkpoint.pt is not a checkpoint" in caplog.text
    assert "starts again" in caplog.text


@pytest.mark.parametrize("content", ["", "[]", '{"experiment": "ma'])
def test_a_damaged_configuration_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json .*: move the directory away"):
        runs.prepare(tmp_path, CONFIG)


def test_who_waits_for_another_process_takes_what_it_has_done(tmp_path, data, caplog, monkeypatch):
    first = runs.execute(tmp_path / "done", CONFIG, make_model(data), data, **OPTIONS)
    runs.prepare(tmp_path / "run", CONFIG)
    monkeypatch.setattr(runs, "fit", None)  # it must not train
    taken = []
    waiting = threading.Thread(
        target=lambda: taken.append(
            runs.execute(tmp_path / "run", CONFIG, make_model(data), data, wait=True, **OPTIONS)
        )
    )
    with FileLock(tmp_path / "run" / ".claim"):
        waiting.start()
        deadline = time.monotonic() + 60
        while "waiting for another process" not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for name in ("posterior.pt", "history.csv", "result.json"):
            (tmp_path / "done" / name).rename(tmp_path / "run" / name)
    waiting.join(60)
    assert taken == [first]


def test_a_full_disk_is_an_error_of_the_system_that_names_the_place(tmp_path, data, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "_comment", full)
        with pytest.raises(OSError, match=r"No space left on device: '.*posterior\.pt'"):
            runs.execute(tmp_path, CONFIG, make_model(data), data, **OPTIONS)
    assert runs.result(tmp_path) is None
    assert runs.execute(tmp_path, CONFIG, make_model(data), data, **OPTIONS)["status"] == "done"
