"""Where a comparison was started: what a job elsewhere needs to find the same files and modules."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NamedTuple, Self

OURS = "BAYESREG_"  # environment variables with this prefix say where data are


class Place(NamedTuple):
    """The working directory, the module search path, and our environment variables."""

    folder: str
    path: tuple[str, ...]
    environment: dict[str, str]

    @classmethod
    def here(cls) -> Self:
        """The place of this process."""
        ours = {name: value for name, value in os.environ.items() if name.startswith(OURS)}
        return cls(os.getcwd(), tuple(os.path.abspath(entry) for entry in sys.path), ours)

    def take(self) -> None:
        """Make it this process's; a machine with variables of its own, or without this folder, keeps what it has."""
        with suppress(OSError):
            os.chdir(self.folder)
        sys.path[:0] = [entry for entry in self.path if entry not in sys.path]
        for name, value in self.environment.items():
            os.environ.setdefault(name, value)
