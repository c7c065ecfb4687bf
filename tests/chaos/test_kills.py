"""Kills at random moments: the end results are those of an undisturbed comparison, bit for bit, and nothing is left."""

import json
import os
import random
import shutil
import signal
import time
from collections import Counter

from comparison import LONG, children, contents, ended, finish, is_there, kill, start, steps, workers

KILLS = int(os.environ.get("CHAOS_KILLS", "100"))
SEED = int(os.environ.get("CHAOS_SEED", "0"))
VICTIMS = ["worker"] * 8 + ["parent", "group"]


def until_it_works(process):
    """Wait until the comparison has workers, or has ended."""
    deadline = time.monotonic() + LONG
    while process.poll() is None and not workers(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_hundred_kills(place, undisturbed):
    chance, kills, complete, process = random.Random(SEED), Counter(), 0, None
    while sum(kills.values()) < KILLS or not (complete and process is None):
        if process is None:
            process = start(place)
            if chance.random() < 0.75:  # the others while everything is imported
                until_it_works(process)
        if sum(kills.values()) < KILLS:
            time.sleep(chance.uniform(0, 2.5))
        else:
            process.wait(LONG)
        if process.poll() is None:
            victim = chance.choice(VICTIMS)
            found = [child for child in workers(process.pid) if is_there(child)]
            if victim != "worker":
                kill(process, group=victim == "group")
                process = None
            elif found:
                os.kill(chance.choice(found), signal.SIGKILL)
            kills[victim] += victim != "worker" or bool(found)
            continue
        _, err = process.communicate()
        if process.returncode == 0:
            assert contents(place / "runs") == undisturbed
            shutil.rmtree(place / "runs")
            complete += 1
        else:
            assert "as did the one before" in err  # by chance the worker of one run twice: the next start does it
        process = None
    print(f"{dict(kills)}, and {complete} comparisons complete")


def test_a_run_whose_worker_is_killed_twice_is_recorded_and_done_the_next_time(place, undisturbed):
    process = start(place)
    until_it_works(process)
    (place / "deadly").touch()
    _, err = finish(process, status=1)
    failed = {line for line in err.splitlines() if line.startswith("failed: mine")}
    assert len(failed) == 4
    assert "was killed by SIGKILL, as did the one before" in err
    results = [json.loads(path.read_text()) for path in (place / "runs").rglob("result.json")]
    assert sum(result["status"] == "failed" for result in results) == len(failed)
    (place / "deadly").unlink()
    finish(start(place))
    assert contents(place / "runs") == undisturbed


def test_signals_end_it_within_two_seconds_and_it_goes_on(place, undisturbed):
    for number, twice, status in [
        (signal.SIGINT, False, 130),
        (signal.SIGINT, True, 130),
        (signal.SIGTERM, False, 143),
    ]:
        process = start(place)
        until_it_works(process)
        time.sleep(2)
        below = children(process.pid)
        begin = time.monotonic()
        os.killpg(process.pid, number)  # as a terminal does
        if twice:
            time.sleep(0.05)
            os.killpg(process.pid, number)
        _, err = finish(process, status)
        assert time.monotonic() - begin < 2
        assert "the same command resumes from there" in err
        assert ended(below) == []
    finish(start(place))
    assert contents(place / "runs") == undisturbed


def test_three_comparisons_share_one_folder(place, done, undisturbed):
    processes = [start(place, "runs", "--report", f"page{number}") for number in range(3)]
    tables = {finish(process)[0].replace(f"page{number}", "page") for number, process in enumerate(processes)}
    assert len(tables) == 1
    assert contents(place / "runs") == undisturbed
    assert steps(place) == steps(done)  # nothing was done twice


def test_two_different_comparisons_share_what_they_have_in_common(place):
    grids = [["--methods", "none", other, "--seeds", "4", "--folds", "1"] for other in ("l2:0.1", "dropout:0.1")]
    processes = [start(place, "runs", "--report", f"page{n}", grid=grid) for n, grid in enumerate(grids)]
    said = [finish(process)[0] for process in processes]
    assert [("l2" in out, "dropout" in out) for out in said] == [(True, False), (False, True)]
    together = steps(place)
    finish(start(place, "apart", grid=grids[0]))
    assert together == steps(place) - together + (steps(place) - together) // 2  # 3 methods, not 4, to 2
