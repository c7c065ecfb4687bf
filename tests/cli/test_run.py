"""bayesreg run: what it runs, what it writes, and how it refuses bad input (exit status 2, no traceback)."""

import errno
import json
import re

import pandas as pd
import pytest
import torch
from filelock import FileLock

from bayesreg import files
from bayesreg.guides import GUIDES
from bayesreg.report import load

SHORT = ["--epochs", "1"]


@pytest.mark.parametrize("name", ["synthetic", "digits", "diabetes"])
def test_a_task_runs_and_leaves_one_directory(bayesreg, tmp_path, name):
    status, out, err = bayesreg("run", name, *SHORT, "--prior", "l2", "--strength", "1e-3")
    assert status == 0, err
    (folder,) = (tmp_path / "runs" / name).iterdir()
    assert str(folder.relative_to(tmp_path)) in out
    config = json.loads((folder / "config.json").read_text())
    assert (config["candidate"]["method"], config["candidate"]["strengths"]) == ("l2", [0.001])
    result = json.loads((folder / "result.json").read_text())
    assert set(result["metrics"]["test"]) == set(result["metrics"]["validation"]) != set()
    assert config["task"]["metric"] in result["metrics"]["test"]
    assert len(pd.read_csv(folder / "history.csv")) == 1
    assert "strength 0.001 per datum" in out
    assert "scale" in out


def test_quiet_prints_the_metrics_alone(bayesreg):
    _, whole, _ = bayesreg("run", "diabetes", *SHORT)
    status, out, _ = bayesreg("run", "diabetes", *SHORT, "--quiet")
    assert status == 0
    assert whole == f"prior none: N = 266\n{out}"


def test_the_same_command_again_gives_the_same_result_without_training(bayesreg):
    first = bayesreg("run", "digits", *SHORT)
    assert bayesreg("run", "digits", *SHORT) == first


def test_diagnostics_of_ard(bayesreg, tmp_path):
    status, _, err = bayesreg("run", "diabetes", *SHORT, "--prior", "ard", "--diagnostics", "--output", "run")
    assert status == 0, err
    names = {path.name for path in (tmp_path / "run" / "diagnostics").iterdir()}
    assert {"quantiles.png", "histogram.png", "quantiles.csv"} <= names
    layers = pd.read_csv(tmp_path / "run" / "diagnostics" / "quantiles.csv", index_col=0)
    assert len(layers) == 3
    assert ((layers > 0) & (layers <= 0.5)).all(axis=None)  # α ≤ ½ under MAP with a = b = 1


BAD = [
    (["--prior", "l3"], r"unknown prior or technique 'l3'.*did you mean 'l[12]'"),
    (["--prior", "entropik:0.1"], "did you mean 'entropic'"),
    (["--prior", "l2:strong"], "'strong' is not a number"),
    (["--prior", "none:1"], "none has no strength"),
    (["--guide", "detla"], "did you mean 'delta'"),
    (["--prior", "l2", "--strength", "-1"], "strength=-1.0.*above 0"),
    (["--prior", "l2", "--strength", "0"], "strength=0.0.*above 0"),
    (["--prior", "l1:nan"], "strength=nan.*above 0"),
    (["--prior", "entropic:inf"], "strength=inf.*above 0"),
    (["--prior", "l2:1e-3", "--strength", "1"], "--strength 1.0 with --prior l2:1e-3"),
    (["--prior", "l1+l2"], "two priors claim"),
    (["--prior", "ard", "--ard.a", "0.5"], r"ARD\(a=0.5\) has no MAP.*--ard.a 1.*--guide normal"),
    (["--prior", "ard", "--ard.b", "-1"], "b=-1.0.*above 0"),
    (["--prior", "ard:sparse"], r"ARD\(a=0.5\) has no MAP.*cannot select.*--guide normal, or.*ard:sparse@normal"),
    (["--prior", "ard:sparse@normal", "--ard.b", "-1"], r"b=-1.0.*above 0"),
    (["--prior", "entropic", "--noise", "1"], "entropy.*constant"),
    (["--prior", "l2", "--ard.a", "2"], "--ard.a 2.0 with --prior l2 has no effect: leave it out, or.*--prior ard"),
    (["--prior", "l2", "--smoothness.every", "2"], "--smoothness.every 2 with --prior l2 has no effect"),
    (["--prior", "ard+entropic", "--smoothness.every", "2"], "--smoothness.every 2 with --prior ard.entropic"),
    (["--noise", "1", "--heteroscedastic"], "--noise 1.0 with --heteroscedastic has no effect: leave one"),
    (["--noise", "0"], "noise scale must be"),
    (["--epochs", "0"], "epochs=0.*at least 1"),
    (["--lr", "nan"], "lr=nan"),
    (["--train-size", "9999"], "train_size is 9999"),
    (["--device", "quantum"], "device 'quantum' is not available.*--device cpu"),
    (["--seedd", "1"], "--seed"),
    (["--epochs", "many"], "--epochs"),
]


def test_the_help_names_every_guide(bayesreg):
    status, out, _ = bayesreg("run", "diabetes", "--help")
    said = " ".join(out.replace("│", " ").split())
    assert status == 0
    _, _, told = said.partition("How the posterior is inferred")
    assert [name for name in GUIDES if name not in told] == []


@pytest.mark.parametrize(("options", "message"), BAD, ids=[" ".join(options) for options, _ in BAD])
def test_bad_input_exits_2_and_says_what_to_do(bayesreg, tmp_path, options, message):
    status, out, err = bayesreg("run", "diabetes", *options)
    said = " ".join((out + err).split())
    assert status == 2
    assert re.search(message, said), said
    assert "Traceback" not in said
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_without_one(bayesreg):
    status, _, err = bayesreg("run", "digits", "--device", "cuda")
    assert status == 2
    assert "--device cpu" in err


def test_missing_data_files_are_named_with_their_place_and_checksum(bayesreg, tmp_path):
    for name, file in (("housing", "cal_housing.tgz"), ("cifar", "data_batch_1"), ("mnist", "train-images")):
        status, _, err = bayesreg("run", name, "--data-dir", tmp_path / "nothing")
        assert status == 2
        assert str(tmp_path / "nothing") in err
        assert file in err
        assert "md5" in err or "sha256" in err


def test_another_runs_directory_is_refused(bayesreg):
    assert bayesreg("run", "digits", *SHORT, "--output", "run")[0] == 0
    status, _, err = bayesreg("run", "digits", *SHORT, "--output", "run", "--seed", "1")
    assert status == 2
    assert "another configuration" in err


def test_a_diverged_run_exits_1_with_epoch_and_step(bayesreg):
    status, _, err = bayesreg("run", "diabetes", *SHORT, "--noise", "1e-30")
    assert status == 1
    assert "epoch 1, step 1" in err


def test_a_full_disk_stops_a_run(bayesreg, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "_comment", full)
        status, _, err = bayesreg("run", "diabetes", *SHORT)
    assert status == 1
    assert re.search(r"No space left on device: 'runs/diabetes/.*'; nothing that was finished is lost: make room", err)
    assert bayesreg("run", "diabetes", *SHORT)[0] == 0


def test_a_folder_in_the_place_of_a_file_is_named_in_one_line(bayesreg, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ".baselines.json.lock").mkdir()
    status, _, err = bayesreg("run", "diabetes", "--output", "mine", *SHORT)
    assert status == 1
    assert re.search(r"stopped: .*Is a directory.*baselines\.json", err)


def test_an_option_of_one_prior_tells_its_candidates_apart_and_leaves_the_others_alone(bayesreg, tmp_path):
    for option in ([], ["--ard.a", "2"]):
        assert bayesreg("run", "diabetes", *SHORT, "--prior", "ard", *option)[0] == 0
    for seed in (0, 1):
        assert bayesreg("run", "diabetes", *SHORT, "--seed", seed, "--bfloat16")[0] == 0
    runs = load("runs")
    assert sorted(runs["candidate"]) == ["ard", "ard(a=2.0, b=1.0, temper=1.0)", "none", "none"]
    assert sorted(set(runs["task"])) == ["diabetes · bfloat16 False", "diabetes · bfloat16 True"]


def test_a_run_that_another_process_is_at_exits_2(bayesreg):
    assert bayesreg("run", "digits", *SHORT, "--output", "run")[0] == 0
    with FileLock("run/.claim"):
        status, _, err = bayesreg("run", "digits", *SHORT, "--output", "run")
    assert status == 2
    assert "another process" in err
