"""The command itself: what it hands on to whom, its help, its version, and how a shell completes it."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bayesreg as br
from bayesreg.cli.__main__ import COMMANDS
from bayesreg.tasks import TASKS

ROOT = Path(__file__).parents[2]
HELP = """
import runpy, sys
from contextlib import suppress

def shown(module, *arguments):
    sys.argv = ["x", *arguments, "--help"]
    print("###", module, *arguments)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        assert not end.code, end.code
    heavy = {"torch", "pyro", "numpy", "pandas"} & set(sys.modules)
    assert not heavy, (module, arguments, heavy)

commands, tasks = (names.split() for names in sys.argv[1:3])
for arguments in [[], *([name] for name in commands), *(["run", name] for name in tasks)]:
    shown("bayesreg.cli", *arguments)
for name in [*tasks, "compare", "report", "data", "baselines", "reports"]:
    shown("experiments." + name)
"""


def test_help_answers_without_loading_torch():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HELP, " ".join(COMMANDS), " ".join(TASKS)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    _, first, *pages = done.stdout.split("### ")
    assert all(name in first for name in COMMANDS)
    assert len(pages) == len(COMMANDS) + len(TASKS) + len(TASKS) + 5
    assert all("--verbose" in page for page in pages if not page.startswith("bayesreg.cli run\n"))
    assert all(f"bayesreg run {name} " in done.stdout for name in TASKS)


def test_the_version(bayesreg):
    assert bayesreg("--version") == (0, f"bayesreg {br.__version__}\n", "")


def test_nothing_asked_is_helped(bayesreg):
    assert bayesreg() == bayesreg("--help")
    status, out, _ = bayesreg("run", "--help")
    assert status == 0
    assert all(name in out for name in TASKS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["comapre"], "unknown command 'comapre': did you mean 'compare'? Commands: compare, run,"),
        (["wine.csv"], "unknown command 'wine.csv': Commands:"),
        (["run", "digts"], "unknown task 'digts'; did you mean 'digits'?"),
        (["--print-completion"], "one of bash, zsh, tcsh"),
        (["--print-completion", "fish"], "--print-completion fish: one of bash, zsh, tcsh"),
        (["baselines", "digits", "--quiet", "--verbose"], "--quiet and --verbose exclude each other: leave one out"),
    ],
)
def test_what_is_unknown_is_refused_in_a_line(bayesreg, options, message):
    status, out, err = bayesreg(*options)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.skipif(shutil.which("bash") is None, reason="completion of bash")
def test_bash_completes_commands_tasks_and_options(bayesreg, tmp_path):
    """The script does not depend on what is installed: bash alone reads it."""
    status, script, _ = bayesreg("--print-completion", "bash")
    assert status == 0
    (tmp_path / "completion").write_text(script)
    (name,) = re.findall(r"complete .*-F (\w+) .*bayesreg", script)

    def completed(*words):
        line = " ".join(f"'{word}'" for word in words)
        ask = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; {name}; echo ${{COMPREPLY[*]}}"
        said = subprocess.run(["bash", "-c", f". ./completion; {ask}"], capture_output=True, text=True, check=True)
        return said.stdout.split()

    assert set(COMMANDS) <= set(completed("bayesreg", ""))
    assert completed("bayesreg", "run", "d") == ["diabetes", "digits"]
    assert completed("bayesreg", "run", "cifar", "--wi") == ["--width"]
    assert completed("bayesreg", "compare", "--se") == ["--seeds", "--select"]


def test_the_wheel_holds_one_package_and_the_command():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"] == {"packages": ["bayesreg"]}
    assert project["project"]["scripts"] == {"bayesreg": "bayesreg.cli.__main__:main"}
    assert all((ROOT / "bayesreg" / name).exists() for name in ("py.typed", "__init__.pyi", "report/page.html"))
    reads = re.compile(r"^\s*(?:from|import) (?:experiments|benchmarks|tests)\b", re.MULTILINE)
    assert not [path for path in (ROOT / "bayesreg").rglob("*.py") if reads.search(path.read_text())]
