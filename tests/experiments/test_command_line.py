"""The command line: what it runs, what it leaves, and what it says to bad input (exit status 2, no traceback)."""

import errno
import json
import re
import subprocess
import sys
from dataclasses import dataclass

import pandas as pd
import pytest
import torch
from filelock import FileLock

from bayesreg import files, sweep
from bayesreg.priors import ARD, PRIORS, text
from bayesreg.report import load
from experiments import EXPERIMENTS, base, compare, options, report
from experiments.diabetes import Diabetes

SHORT = ["--epochs", "1"]


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Run an experiment's command in an empty folder: (exit status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(main, *options):
        monkeypatch.setattr(sys, "argv", ["experiment", *map(str, options)])
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def experiment(name):
    return lambda: base.main(base.load(name))


@pytest.mark.parametrize("name", ["synthetic", "digits", "diabetes"])
def test_an_experiment_runs_and_leaves_one_directory(command, tmp_path, name):
    status, out, err = command(experiment(name), *SHORT, "--prior", "l2", "--strength", "1e-3")
    assert status == 0, err
    (folder,) = (tmp_path / "runs" / name).iterdir()
    assert str(folder.relative_to(tmp_path)) in out
    config = json.loads((folder / "config.json").read_text())
    assert config["candidate"] == {"prior": "l2:0.001", "prior_name": "l2", "strength": 0.001}
    result = json.loads((folder / "result.json").read_text())
    assert set(result["metrics"]["test"]) == set(result["metrics"]["validation"]) != set()
    assert config["task"]["metric"] in result["metrics"]["test"]
    assert len(pd.read_csv(folder / "history.csv")) == 1
    assert "strength 0.001 per datum" in out
    assert "scale" in out


def test_the_same_command_again_gives_the_same_result_without_training(command):
    first = command(experiment("digits"), *SHORT)
    assert command(experiment("digits"), *SHORT) == first


def test_runs_differ_in_prior_alone(tmp_path):
    """Paired seeds: the same initial weights whatever the prior, other ones with another seed."""
    kind = base.load("diabetes")
    weights = [kind(prior=p, seed=s).build().model.net.state_dict() for p, s in (("none", 0), ("ard", 0), ("none", 1))]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not all(torch.equal(weights[0][name], weights[2][name]) for name in weights[0])


def test_diagnostics_of_ard(command, tmp_path):
    status, _, err = command(experiment("diabetes"), *SHORT, "--prior", "ard", "--diagnostics", "--output", "run")
    assert status == 0, err
    names = {path.name for path in (tmp_path / "run" / "diagnostics").iterdir()}
    assert {"quantiles.png", "histogram.png", "quantiles.csv"} <= names
    layers = pd.read_csv(tmp_path / "run" / "diagnostics" / "quantiles.csv", index_col=0)
    assert len(layers) == 3
    assert ((layers > 0) & (layers <= 0.5)).all(axis=None)  # α ≤ ½ under MAP with a = b = 1


BAD = [
    (["--prior", "l3"], r"unknown prior 'l3'.*did you mean 'l[12]'"),
    (["--prior", "entropik:0.1"], "did you mean 'entropic'"),
    (["--prior", "l2:strong"], "'strong' is not a number"),
    (["--prior", "none:1"], "none has no strength"),
    (["--guide", "detla"], "did you mean 'delta'"),
    (["--prior", "l2", "--strength", "-1"], "strength=-1.0.*above 0"),
    (["--prior", "l2", "--strength", "0"], "strength=0.0.*above 0"),
    (["--prior", "l1:nan"], "strength=nan.*above 0"),
    (["--prior", "entropic:inf"], "strength=inf.*above 0"),
    (["--prior", "l2:1e-3", "--strength", "1"], "--strength 1.0 beside --prior l2:1e-3"),
    (["--prior", "l1+l2"], "two priors claim"),
    (["--prior", "ard", "--ard.a", "0.5"], r"ARD\(a=0.5\) has no MAP.*--ard.a 1.*--guide normal"),
    (["--prior", "ard", "--ard.b", "-1"], "b=-1.0.*above 0"),
    (["--prior", "entropic", "--noise", "1"], "entropy.*constant"),
    (["--prior", "l2", "--ard.a", "2"], "--ard.a 2.0 beside --prior l2 plays no part: leave it out, or.*--prior ard"),
    (["--prior", "l2", "--smoothness.every", "2"], "--smoothness.every 2 beside --prior l2 plays no part"),
    (["--prior", "ard+entropic", "--smoothness.every", "2"], "--smoothness.every 2 beside --prior ard.entropic"),
    (["--noise", "1", "--heteroscedastic"], "--noise 1.0 beside --heteroscedastic plays no part: leave one"),
    (["--noise", "0"], "noise scale must be"),
    (["--epochs", "0"], "epochs=0.*at least 1"),
    (["--lr", "nan"], "lr=nan"),
    (["--train-size", "9999"], "train_size is 9999"),
    (["--device", "quantum"], "device 'quantum' is not available.*--device cpu"),
    (["--seedd", "1"], "--seed"),
    (["--epochs", "many"], "--epochs"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[" ".join(options) for options, _ in BAD])
def test_bad_input_exits_2_and_says_what_to_do(command, tmp_path, options, message):
    status, out, err = command(experiment("diabetes"), *options)
    said = " ".join((out + err).split())
    assert status == 2
    assert re.search(message, said), said
    assert "Traceback" not in said
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_without_one(command):
    status, _, err = command(experiment("digits"), "--device", "cuda")
    assert status == 2
    assert "--device cpu" in err


def test_missing_data_files_are_named_with_their_place_and_checksum(command, tmp_path):
    for name, file in (("housing", "cal_housing.tgz"), ("cifar", "data_batch_1"), ("mnist", "train-images")):
        status, _, err = command(experiment(name), "--data-dir", tmp_path / "nothing")
        assert status == 2
        assert str(tmp_path / "nothing") in err
        assert file in err
        assert "md5" in err or "sha256" in err


def test_another_runs_directory_is_refused(command):
    assert command(experiment("digits"), *SHORT, "--output", "run")[0] == 0
    status, _, err = command(experiment("digits"), *SHORT, "--output", "run", "--seed", "1")
    assert status == 2
    assert "another configuration" in err


def test_a_diverged_run_exits_1_with_epoch_and_step(command):
    status, _, err = command(experiment("diabetes"), *SHORT, "--noise", "1e-30")
    assert status == 1
    assert "epoch 1, step 1" in err


def test_compare_and_report(command, tmp_path, monkeypatch):
    options = ["--experiments", "diabetes", "--priors", "none", "l2", "--seeds", "2", *SHORT]
    status, out, err = command(compare.main, *options)
    assert status == 0, err
    assert "runs/compare/report/index.html" in out
    assert (tmp_path / "runs/compare/report/index.html").exists()
    assert len(list((tmp_path / "runs/compare/diabetes").iterdir())) == 2 * (1 + len(PRIORS["l2"].grid))
    status, again, _ = command(report.main, "runs", "--output", "reports/again")
    assert status == 0
    table = [line for line in out.splitlines() if line.startswith("diabetes")]
    assert table == [line for line in again.splitlines() if line.startswith("diabetes")] != []
    assert (tmp_path / "reports/again/index.html").exists()

    def nobody_reads(*args, **kwargs):
        raise BrokenPipeError

    monkeypatch.setattr(compare, "print", nobody_reads, raising=False)
    with pytest.raises(BrokenPipeError):
        compare.show(compare.Compare(), tmp_path / "reports/piped")
    assert (tmp_path / "reports/piped/index.html").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--experiments", "digit"], "did you mean 'digits'"),
        (["--experiments", "digits --output x"], "--output is the same for the whole grid"),
        (["--experiments", "digits --prior l2"], "--prior is the same for the whole grid"),
        (["--experiments", "digits --ard.a 2", "--priors", "l2", "none"], "--ard.a 2.0 beside --prior l2 none plays"),
        (["--experiments", "diabetes --noise 1 --heteroscedastic"], "--noise 1.0 beside --heteroscedastic"),
        (["--priors", "l2:-1"], "strength=-1.0"),
        (["--priors", "l3"], "unknown prior"),
        (["--seeds", "0"], "at least 1"),
        (["--workers", "0"], "--workers 0: at least 1"),
        (["--experiments", ""], "unknown experiment ''"),
        (["--guide", "detla"], "did you mean 'delta'"),
    ],
)
def test_compare_refuses_bad_input_before_the_first_run(command, tmp_path, options, message):
    status, _, err = command(compare.main, *options)
    assert status == 2
    assert message in err
    assert not (tmp_path / "runs").exists()


def test_a_cell_without_meaning_is_refused_and_the_grid_goes_on(command, tmp_path):
    grid = ["--experiments", "diabetes --noise 1", "--priors", "none", "entropic", "--seeds", "1", "--workers", "1"]
    status, out, err = command(compare.main, *grid, *SHORT)
    assert status == 0, err
    *_, cell = next(row for row in out.splitlines() if row.startswith("diabetes")).split()
    assert cell == "refused"
    reason = "the entropic prior does nothing under Gaussian"
    status, again, _ = command(report.main, "runs", "--output", "reports/again")
    assert status == 0
    for said, page in ((out, "runs/compare/report"), (again, "reports/again")):
        assert f"Refused: entropic on diabetes: {reason}" in said
        assert f"<li>entropic on diabetes: {reason}" in (tmp_path / page / "index.html").read_text()
        rows = pd.read_csv(tmp_path / page / "results.csv", keep_default_na=False).set_index("prior_name")
        assert rows["status"].to_dict() == {"none": "done", "entropic": "refused"}
        assert reason in rows.loc["entropic", "reason"]


def test_a_grid_of_refused_cells_alone_is_refused(command, tmp_path):
    status, _, err = command(compare.main, "--experiments", "diabetes --noise 1", "--priors", "entropic", *SHORT)
    assert status == 2
    assert "entropy of its predictions is constant" in err
    assert not (tmp_path / "runs").exists()


def test_only_what_the_prior_cannot_do_is_refused():
    class Piecewise(base.load("diabetes")):
        def network(self, data):
            from bayesreg import nets

            return nets.mlp(data.features[0], 1, activation=torch.nn.ReLU)

    runs = [Piecewise(prior=prior, seed=seed) for prior in ("none", "smoothness:1", "l2") for seed in (0, 1)]
    refused, broken = compare.refusals(runs)
    assert not broken
    assert [(run.prior, run.seed) for run in refused] == [("smoothness:1", 0), ("smoothness:1", 1)]
    assert all("curvature is zero" in reason for reason in refused.values())
    half = Piecewise(ard=base.Ard(a=0.5))
    refused, _ = compare.refusals([half.under(prior) for prior in ("l2", "ard")])
    (reason,) = refused.values()
    assert "ARD(a=0.5) has no MAP estimate" in reason
    with pytest.raises(ValueError, match="epochs=0"):
        compare.refusals([Piecewise(prior="smoothness:1", epochs=0)])


def test_what_fails_to_be_built_costs_its_own_cell(command, tmp_path, monkeypatch):
    monkeypatch.setattr(Diabetes, "likelihood", heavy(Diabetes.likelihood))
    grid = ["--experiments", "diabetes", "diabetes --width 9", "--priors", "none", "l2:0.1", "--seeds", "1", *SHORT]
    status, out, err = command(compare.main, *grid, "--workers", "1")
    assert status == 1
    assert "diabetes" in out  # the table of the others
    lines = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert lines == [
        f"failed: diabetes --epochs 1 --width 9 {prior} seed 0: {reason}"
        for prior, reason in (("none", "MemoryError: no room"), ("l2:0.1", "RuntimeError: can't allocate memory"))
    ]
    kept = [json.loads(path.read_text()) for path in tmp_path.glob("runs/compare/diabetes/*/result.json")]
    assert sorted((r["status"], r["message"] or "") for r in kept) == [
        ("done", ""),
        ("done", ""),
        ("refused", "MemoryError: no room"),
        ("refused", "RuntimeError: can't allocate memory"),
    ]


def heavy(likelihood):
    """Memory that does not suffice for 9 units, in the two ways in which it is said."""

    def build(self):
        if self.width == 9:
            raise MemoryError("no room") if self.prior == "none" else RuntimeError("can't allocate memory")
        return likelihood(self)

    return build


@pytest.fixture
def outcomes(monkeypatch):
    """In place of the workers: every job has the next of these errors, or none."""
    errors = []

    def swept(jobs, workers=None):
        yield from (
            sweep.Outcome(number, {}, error) for number, (_, error) in enumerate(zip(jobs, errors, strict=False))
        )

    monkeypatch.setattr(sweep, "sweep", swept)
    return errors


def test_failures_are_said_where_there_is_nothing_to_report(command, outcomes):
    outcomes += [ValueError("it is broken"), RuntimeError("it is, too")]
    grid = ["--experiments", "diabetes", "--priors", "none", "--seeds", "2", *SHORT]
    status, _, err = command(compare.main, *grid)
    assert status == 1
    assert "failed: diabetes --epochs 1 none seed 0: it is broken\n" in err
    assert "failed: diabetes --epochs 1 none seed 1: RuntimeError: it is, too\n" in err
    assert "no complete run" in err
    assert "Traceback" not in err


def test_a_full_disk_stops_a_comparison(command, outcomes):
    outcomes += [ValueError("it is broken"), OSError(errno.ENOSPC, "No space left on device", "runs/x"), KeyError("x")]
    status, out, err = command(compare.main, "--experiments", "diabetes", "--priors", "none", "--seeds", "3", *SHORT)
    assert status == 1
    assert "it is broken" in err
    assert "No space left on device: 'runs/x'; nothing that was finished is lost" in err
    assert "KeyError" not in err + out  # the sweep was left


def test_a_full_disk_stops_a_run(command, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "_comment", full)
        status, _, err = command(experiment("diabetes"), *SHORT)
    assert status == 1
    assert re.search(r"No space left on device: 'runs/diabetes/.*'; nothing that was finished is lost: make room", err)
    assert command(experiment("diabetes"), *SHORT)[0] == 0


def test_a_folder_in_the_place_of_a_file_is_named_in_one_line(command, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ".baselines.json.lock").mkdir()
    status, _, err = command(experiment("diabetes"), "--output", "mine", *SHORT)
    assert status == 1
    assert re.search(r"stopped: .*Is a directory.*baselines\.json", err)


def test_what_is_asked_for_twice_is_done_once():
    asked = compare.Compare(experiments=["digits", "digits --width 64"], priors=["none", "l2:0.1", "none"], seeds=2)
    assert [(run.prior, run.seed) for run in asked.runs()] == [("none", 0), ("none", 1), ("l2:0.1", 0), ("l2:0.1", 1)]


def test_an_option_of_one_prior_tells_its_candidates_apart_and_leaves_the_others_alone(command, tmp_path):
    for option in ([], ["--ard.a", "2"]):
        assert command(experiment("diabetes"), *SHORT, "--prior", "ard", *option)[0] == 0
    for seed in (0, 1):
        assert command(experiment("diabetes"), *SHORT, "--seed", seed, "--bfloat16")[0] == 0
    runs = load("runs")
    assert sorted(runs["candidate"]) == [f"{text(ARD(), 266)} · a 1", f"{text(ARD(), 266)} · a 2", "none", "none"]
    assert sorted(set(runs["task"])) == ["diabetes · bfloat16 False", "diabetes · bfloat16 True"]
    grid = compare.Compare(experiments=["digits --ard.a 2"], priors=["l2:1", "ard:1"], seeds=1).runs()
    assert [(run.prior, run.ard.a) for run in grid] == [("l2:1", 1), ("ard:1", 2)]


def test_every_option_has_a_role_and_where_a_run_runs_is_not_recorded():
    for name in EXPERIMENTS:
        kind = base.load(name)
        roles = {option: options.role(own) for option, own in options.annotated(kind).items()}
        where = {option for option, role in roles.items() if role is options.WHERE}
        assert where == {"device", "threads", "compile", "data_dir", "output", "diagnostics"}
        assert {option for option, role in roles.items() if role is options.REPLICATE} == {"seed"}
    config = base.load("diabetes")(prior="ard", device="cpu", threads=1).build().config
    assert list(config) == ["task", "candidate", "replicate"]
    assert config["candidate"]["ard"] == {"a": 1.0, "b": 1.0}
    assert config["replicate"] == {"seed": 0}
    assert not where & set(config["task"])


def test_an_option_that_nobody_has_heard_of_tells_tasks_apart():
    @dataclass(frozen=True)
    class Novel(base.load("diabetes")):
        flavour: str = "plain"

    assert Novel(flavour="other").build().config["task"]["flavour"] == "other"


def test_each_experiment_of_a_grid_may_have_options_of_its_own():
    lines = ["digits", "beijing --net transformer --width 16", "cifar --dataset cifar100 --epochs 2"]
    digits, beijing, cifar = compare.Compare(experiments=lines, priors=["l2:1"], seeds=1, train_size=100).runs()
    assert (beijing.net, beijing.width, beijing.prior, cifar.dataset, cifar.epochs) == (
        "transformer",
        16,
        "l2:1",
        "cifar100",
        2,
    )
    assert [run.batch_size for run in (digits, beijing, cifar)] == [32, 100, 32]
    assert {run.train_size for run in (digits, beijing, cifar)} == {100}
    assert compare.Compare(experiments=lines, priors=["none"], seeds=1, epochs=5).runs()[2].epochs == 5


@pytest.mark.parametrize("option", ["--output", "--report"])
def test_compare_refuses_a_directory_it_cannot_write_before_the_first_run(command, tmp_path, option):
    (tmp_path / "file").write_text("")
    few = ["--experiments", "diabetes", "--priors", "none", *SHORT]
    status, _, err = command(compare.main, *few, option, tmp_path / "file" / "below")
    assert status == 2
    assert "cannot be written" in err
    assert not list(tmp_path.glob("runs/compare/*/*"))


def test_a_run_that_another_process_is_at_exits_2(command):
    assert command(experiment("digits"), *SHORT, "--output", "run")[0] == 0
    with FileLock("run/.claim"):
        status, _, err = command(experiment("digits"), *SHORT, "--output", "run")
    assert status == 2
    assert "another process" in err


def test_report_of_nothing(command):
    status, _, err = command(report.main, "nowhere")
    assert status == 2
    assert "nowhere" in err


def test_all_priors_may_stand_beside_others():
    texts = compare.Compare(priors=["all", "l2:1e-4+entropic:0.1", "l2"]).texts()
    assert set(texts) == {*compare.Compare().texts(), "l2:1e-4+entropic:0.1"}


def test_every_prior_has_the_same_budget():
    assert {len(prior.grid) for name, prior in PRIORS.items() if name != "none"} == {4}


@pytest.mark.parametrize("name", [*EXPERIMENTS, "compare", "report"])
def test_help_answers_without_loading_torch(name):
    code = (
        f"import sys, runpy; sys.argv = ['x', '--help']\n"
        f"try: runpy.run_module('experiments.{name}', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end: assert end.code == 0 and 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "options" in done.stdout
