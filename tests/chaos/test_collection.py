"""Every process collects the same tests: pytest-xdist refuses to start where its workers do not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COLLECT = """
import sys, time
import pytest

clock = time.time
time.time = lambda: clock() + float(sys.argv[1])
sys.exit(pytest.main(["--collect-only", "-q", "--override-ini=addopts=", "-p", "no:cacheprovider", *sys.argv[2:]]))
"""


def collect(*folders: Path) -> list[list[str]]:
    """The ids of the tests in the folders, as two fresh processes collect them an hour apart, with other hashes."""
    both = [
        subprocess.Popen(
            [sys.executable, "-c", COLLECT, str(seconds), *map(str, folders)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": str(seconds)},
        )
        for seconds in (0, 3600)
    ]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    return [[line for line in text.splitlines() if "::" in line] for text in said]


def test_every_process_collects_the_same_tests() -> None:
    first, second = collect(ROOT / "tests")
    assert [ids for ids in zip(first, second, strict=True) if ids[0] != ids[1]] == []
    assert len(first) > 1000


def test_ids_of_the_clock_and_of_a_hash_are_found(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("""
import gzip, pytest

@pytest.mark.parametrize("content", [gzip.compress(b""), "always"])
def test_clock(content): pass

@pytest.mark.parametrize("name", set("abcde"))
def test_hash(name): pass
""")
    first, second = collect(tmp_path)
    differ = [one.partition("[")[0] for one, other in zip(first, second, strict=True) if one != other]
    assert {test.rpartition("::")[2] for test in differ} == {"test_clock", "test_hash"}
    assert differ.count(differ[0]) == 1  # the other id of the clock's test is the same
