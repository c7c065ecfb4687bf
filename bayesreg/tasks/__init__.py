"""Tasks: what methods are compared on, by name. `bayesreg run digits --help` lists the options of one.

A new task is one more file, and a line here.
"""

from __future__ import annotations

import importlib
import shlex
from difflib import get_close_matches
from typing import Any

from bayesreg.tasks import options
from bayesreg.tasks.base import Task
from bayesreg.tasks.registered import Registered

__all__ = ["TASKS", "Registered", "Task", "as_task", "kind"]

TASKS: dict[str, str] = {
    "synthetic": "Synthetic",
    "digits": "Digits",
    "diabetes": "Diabetes",
    "housing": "Housing",
    "cifar": "Cifar",
    "mnist": "Mnist",
    "flowers": "Flowers",
    "imdb": "Imdb",
    "beijing": "Beijing",
}


def kind(name: str) -> type[Registered]:
    """The class of the task of that name. ValueError for an unknown one, with the nearest known."""
    if name not in TASKS:
        near = get_close_matches(name.lower(), TASKS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"unknown task {name!r}{hint} Tasks: {', '.join(TASKS)}")
    return getattr(importlib.import_module(f"bayesreg.tasks.{name}"), TASKS[name])


def as_task(value: Any) -> Task:
    """A task from an instance or its text: its name with options of its own, such as "beijing --net transformer".

    ValueError for an unknown name or option, TypeError for what is not a task.
    """
    if isinstance(value, Task):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a task: give a br.Task(net, data), or a name: {', '.join(TASKS)}")
    try:
        name, *arguments = shlex.split(value) or [""]
    except ValueError as error:  # an unclosed quotation mark
        raise ValueError(f"{value!r} is not the name of a task with options ({error})") from None
    task: Registered = options.read(kind(name), arguments, value)
    return task
