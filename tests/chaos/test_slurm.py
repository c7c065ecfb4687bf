"""Array jobs of SLURM, submitted by submitit to commands that stand in for SLURM's: processes on this machine."""

import functools
import os
import signal
import sys
import time

import pytest

from bayesreg.engine import Job, Killed, Slurm, TimedOut, as_engine
from bayesreg.engine import slurm as module

submitit = pytest.importorskip("submitit")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")

SBATCH = """
id=$(( $(ls $STATE | grep -c script) + 1 ))
cp $1 $STATE/script.$id
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%.*/\\1/p' $1)
for i in $(seq 0 ${last:-0}); do
    export SLURM_JOB_ID=$id; name=$id
    if [ -n "$last" ]; then export SLURM_ARRAY_JOB_ID=$id SLURM_ARRAY_TASK_ID=$i; name=${id}_$i; fi
    echo RUNNING > $STATE/state.$name
    setsid bash -c '
        echo $$ > $STATE/process.'$name'
        bash '$1' && echo COMPLETED > $STATE/state.'$name' || echo FAILED > $STATE/state.'$name'
    ' > /dev/null 2>&1 &
done
echo Submitted batch job $id
"""
SRUN = """
while [ "${1:0:2}" = -- ]; do case $1 in --output|--error) shift;; esac; shift; done
exec "$@"
"""
SACCT = """
echo "JobID|State|NodeList"
for file in $STATE/state.*; do echo "${file##*/state.}|$(cat $file)|here"; done
"""
SCANCEL = """
kill -KILL -- -$(cat $STATE/process.$1)
echo CANCELLED > $STATE/state.$1
"""


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """The folder in which the commands note their jobs."""
    commands, state = tmp_path / "bin", tmp_path / "state"
    commands.mkdir()
    state.mkdir()
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT, "scancel": SCANCEL}.items():
        (commands / name).write_text(f"#!/bin/bash\nSTATE={state}; export STATE\n{text}")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setattr(module, "LOOK", 0.05)
    monkeypatch.setattr(submitit.SlurmJob, "watcher", submitit.slurm.slurm.SlurmInfoWatcher(delay_s=0))
    return state


def engine(folder, **options):
    made = Slurm(slurm={"time": 5, "cpus_per_task": 1}, **options)
    made.check(folder)
    return made


def call(shared, function):
    return function(), shared


def outcomes(engine, *functions):
    return {outcome.number: outcome for outcome in engine.outcomes(call, "shared", [Job(one) for one in functions])}


def fail():
    raise ValueError("not to be had")


def end_element():
    """As when its machine goes: the worker's parent, which is the element, is killed."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def hang(marker=None):
    if marker is not None:
        marker.write_text(str(os.getpid()))
    time.sleep(600)


def is_there(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def ends(process):
    """Whether it is gone within a minute."""
    deadline = time.monotonic() + 60
    while is_there(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_there(process)


def threads():
    import torch

    return torch.get_num_threads(), os.getcwd()


def test_every_job_has_its_outcome_and_a_grid_that_is_left_cancels_what_it_is_at(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    jobs = [Job(one) for one in (threads, fail, functools.partial(hang, tmp_path / "process"), os.getpid, hang)]
    outcomes = engine(tmp_path / "out", workers=1, timeout=5).outcomes(call, "shared", jobs)
    found = [next(outcomes) for _ in range(4)]
    outcomes.close()
    assert [one.number for one in found] == [0, 1, 2, 3]
    assert found[0].result == ((1, str(tmp_path)), "shared")
    assert isinstance(found[1].error, ValueError)
    assert str(found[1].error) == "not to be had"
    assert isinstance(found[2].error, TimedOut)
    assert found[3].error is None
    assert not is_there(int((tmp_path / "process").read_text()))
    assert ends(found[3].result[0])
    assert "--time=5" in (state / "script.1").read_text()
    assert (state / "state.1").read_text().strip() == "CANCELLED"
    assert list((tmp_path / "out").iterdir()) == []


def test_an_array_shares_the_jobs_and_one_that_no_element_survives_is_killed(state, tmp_path):
    found = outcomes(engine(tmp_path, workers=2), end_element, os.getpid, os.getpid)
    assert isinstance(found[0].error, Killed)
    assert "FAILED" in str(found[0].error)
    assert [found[n].error for n in (1, 2)] == [None, None]
    assert "--array=0-1%2" in (state / "script.1").read_text()


def test_an_array_that_begins_nothing_ends_the_grid(state, tmp_path):
    (tmp_path / "bin" / "srun").write_text("#!/bin/bash\nexit 1\n")
    with pytest.raises(ValueError, match=r"SLURM started no run \(FAILED\): do its nodes share"):
        outcomes(engine(tmp_path), os.getpid)


def test_an_array_that_sbatch_does_not_take_ends_the_grid(tmp_path, capfd):
    (tmp_path / "bin" / "sbatch").write_text("#!/bin/bash\necho sbatch: error: invalid partition >&2; exit 1\n")
    with pytest.raises(ValueError, match="SLURM accepts no array job: sbatch: error: invalid partition"):
        outcomes(engine(tmp_path), os.getpid)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "slurm time=None: give the minutes"),
        (["time=2:00:00"], "slurm time=2:00:00: give the minutes"),
        (["time=120", "gpu"], r"slurm time, gpu: Unavailable parameter\(s\): \['gpu'\]"),
        ({"time": 120, "colour": "red"}, r"Unavailable parameter\(s\): \['colour'\] Valid parameters are"),
    ],
    ids=["no time", "no minutes", "no value", "unknown"],
)
def test_what_sbatch_cannot_be_asked_for_is_refused(given, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        Slurm(slurm=given).check(tmp_path)


def test_texts_are_as_good_as_a_dict(tmp_path):
    one = Slurm(slurm=["time=120", "partition=gpu"])._executor(tmp_path).parameters
    assert one == Slurm(slurm={"time": 120, "partition": "gpu"})._executor(tmp_path).parameters
    assert one == {"time": 120, "partition": "gpu", "job_name": "bayesreg"}


def test_what_is_missing_is_said(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="the local engine has no such option"):
        as_engine("local", slurm=["time=120"])
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "")
        with pytest.raises(ValueError, match="no sbatch and srun on this machine"):
            Slurm().check(tmp_path)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ValueError, match=r"pip install 'bayesreg\[slurm\]'"):
        Slurm().check(tmp_path)
