"""The command `bayesreg`, also as python -m bayesreg.cli."""

from __future__ import annotations

import difflib
import importlib
import sys

from bayesreg import __version__

COMMANDS = {
    "compare": "find which method regularises a network best: a grid of runs, a table and a page",
    "run": "train and test one task under one method",
    "report": "make the page of finished runs",
    "data": "fetch or verify the published data files",
    "baselines": "show the scores that a data set gives without a network",
}
SHELLS = ("bash", "zsh", "tcsh")
USAGE = "\n".join(
    [
        "usage: bayesreg [-h] [--version] COMMAND ...",
        "",
        *(f"  {name:10} {what}" for name, what in COMMANDS.items()),
        "",
        "bayesreg COMMAND --help lists the options of a command.",
        f'Tab completion ({", ".join(SHELLS)}): eval "$(bayesreg --print-completion bash)".',
    ]
)


def main() -> None:
    """Hand the command line to the command that it names. Exit status 2 for an unknown one."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in COMMANDS:
        sys.argv = [f"bayesreg {name}", *arguments]
        importlib.import_module(f"bayesreg.cli.{name}").main()
    elif name in ("-h", "--help"):
        print(USAGE)
    elif name == "--version":
        print(f"bayesreg {__version__}")
    elif name == "--print-completion" and arguments and arguments[0] in SHELLS:
        importlib.import_module("bayesreg.cli.completion").show(arguments[0])
    elif name == "--print-completion":
        _refuse(f"--print-completion {' '.join(arguments)}: one of {', '.join(SHELLS)}")
    else:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        _refuse(f"unknown command {name!r}: {hint}Commands: {', '.join(COMMANDS)}")


def _refuse(what: str) -> None:
    print(f"error: {what}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
