"""Ctrl-C, SIGTERM and SIGKILL: commands end with the status that a shell expects, and leave no process at a run."""

import os
import signal
import subprocess
import sys
import time

import pytest
from filelock import FileLock

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
LONG = 60  # seconds, for what is immediate on an idle machine


def start(code, folder, *arguments):
    """Python code in a process group of its own, where Ctrl-C is not ignored, as it may be here."""
    code = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{code}"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def until(true, process):
    """Wait until it is, while the process runs."""
    deadline = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


# In short sleeps: a signal that comes just before a sleep begins is heard only after it.
SLEEP = """
import sys, time
from bayesreg.cli.stopping import stoppable
def sleep(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)
"""
WAITS = f"""{SLEEP}
cleaning, grace = map(float, sys.argv[1:])
with stoppable(grace):
    try:
        print("ready", flush=True)
        sleep(600)
    finally:
        print("cleaning", flush=True)
        sleep(cleaning)
"""
SWALLOWS = f"""{SLEEP}
with stoppable():
    try:
        print("ready", flush=True)
        sleep(600)
    except BaseException:  # as where a C library calls back
        print("cleaning", flush=True)
    sleep(600)
"""
WAYS = {  # code, its arguments, and whether it takes a second signal
    "tidy": (WAITS, ["0", "600"], False),
    "slow": (WAITS, ["600", "0.1"], False),
    "twice": (WAITS, ["600", "600"], True),
    "swallowed": (SWALLOWS, [], False),
}


@pytest.mark.parametrize(("code", "arguments", "twice"), WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_command_whatever_it_does(tmp_path, code, arguments, twice, number, status):
    process = start(code, tmp_path, *arguments)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.stdout.readline() == "cleaning\n"
    if twice:
        process.send_signal(number)
    _, said = process.communicate(timeout=LONG)
    assert process.returncode == status
    assert "the same command resumes" in said
    assert "Traceback" not in said


def test_what_ignores_ctrl_c_goes_on_ignoring_it(tmp_path):
    code = (
        "import os, signal\nfrom bayesreg.cli.stopping import stoppable\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    )
    process = start(code + "with stoppable(): os.kill(os.getpid(), signal.SIGINT); print('goes on')", tmp_path)
    assert process.communicate(timeout=LONG)[0] == "goes on\n"


@pytest.mark.parametrize("ending", ["", "; sys.exit(3)"], ids=["returns", "exits"])
def test_a_closed_pipe_ends_a_command_quietly(tmp_path, ending):
    code = "import sys\nfrom bayesreg.cli.stopping import stoppable\nsys.stdin.readline()\n"
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}with stoppable(): print('x'){ending}"],
        stdin=subprocess.PIPE,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(reader)
    os.close(writer)
    _, said = process.communicate("go\n", timeout=LONG)
    assert (process.returncode, said) == (141, "")


def free(claim):
    """Whether no process holds the claim: they end with the process that holds them."""
    lock = FileLock(claim)
    try:
        lock.acquire(timeout=LONG)
    except TimeoutError:
        return False
    lock.release()
    return True


def test_no_process_is_left_at_a_run(tmp_path):
    """Of one run; `make chaos` does the same to comparisons."""
    process = start("from bayesreg.cli.run import run; run('diabetes', 'x')", tmp_path, "--epochs", "1000000")
    until(lambda: list(tmp_path.glob("runs/**/config.json")), process)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(LONG) == 130
    (claim,) = tmp_path.glob("runs/**/.claim")
    assert free(claim)
    _, said = process.communicate()
    assert "the same command resumes" in said
    assert "Traceback" not in said
