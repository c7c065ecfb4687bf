"""A progress bar where somebody is looking: in a terminal or a notebook, not in a log."""

from __future__ import annotations

import logging
import sys
from typing import Any

from tqdm import tqdm

QUIET = 2.0  # seconds: what takes less shows no bar


def bar(*iterable: Any, show: bool = True, **options: Any) -> tqdm:
    """tqdm(*iterable, **options) that appears after two seconds, where there is somebody to look.

    show: False is silent everywhere, as is a log that shows no warnings. A notebook gets the widget where ipywidgets is
    installed, else the same line of text as a terminal.
    """
    said = logging.getLogger("bayesreg").isEnabledFor(logging.WARNING)
    hidden = not (show and said and (sys.stderr.isatty() or in_notebook()))
    return _kind()(*iterable, disable=hidden, **({"delay": QUIET} | options))


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook (Jupyter, Colab, VS Code)."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell else None
    return running is not None and hasattr(running, "kernel")


def _kind() -> type[tqdm]:
    if in_notebook():
        try:
            import ipywidgets  # noqa: F401
            from tqdm.notebook import tqdm_notebook
        except ImportError:
            return tqdm
        return tqdm_notebook
    return tqdm
