"""Imports run one way, read from the source with ast: a lower module never imports a higher one.

device, files, interrupts, labels, memory, progress, randomness, schedule, structure → likelihoods, local, curvature,
graph, nets, network, datasets, metrics, prediction → agreement, baselines, uncertainty → baseline_cache → priors →
model → inference_data, threads, units → guides → objective, update → step, potential → checks, convergence, proper →
posterior, diagnostics, relevance, checkpoint → fit, claims, leave_one_out, mcmc → methods, tasks → runs, testing → grid
→ engine → statistics, report → comparison, costs, recommendation → conclusion → study → cli → __main__, experiments.
The design lists fit before posterior; but fit returns a Posterior, and so imports it, while a Posterior needs no fit.
nets, datasets and metrics import nothing else of the package but files, interrupts, progress and structure: a cache and
a download must not leave half a file, nor be silent.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = [
    {"device", "files", "interrupts", "labels", "memory", "progress", "randomness", "schedule", "structure"},
    {"graph", "likelihoods", "local", "curvature", "nets", "network", "datasets", "metrics", "prediction"},
    {"agreement", "baselines", "uncertainty"},
    {"baseline_cache"},
    {"priors"},
    {"model"},
    {"inference_data", "threads", "units"},
    {"guides"},
    {"objective", "update"},
    {"step", "potential"},
    {"checks", "convergence", "proper"},
    {"posterior", "diagnostics", "relevance", "checkpoint"},
    {"fit", "claims", "leave_one_out", "mcmc"},
    {"methods", "tasks"},
    {"runs", "testing"},
    {"grid"},
    {"engine"},
    {"statistics", "report"},
    {"comparison", "costs", "recommendation"},
    {"conclusion"},
    {"study"},
    {"cli"},
    {"__main__", "experiments"},
]
ALONE = {"nets", "datasets", "metrics", "files", "interrupts", "progress", "structure", "graph", "likelihoods", "local"}
ALONE |= {"curvature", "network", "prediction"}
LEVEL = {part: level for level, layer in enumerate(LAYERS) for part in layer}
SAME_LAYER = {("posterior", "diagnostics"), ("report", "statistics")}  # and not the other way round


def part(path):
    """The part of the project that a file belongs to; None for bayesreg/__init__.py, the public names."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] == "experiments":
        return "experiments"
    return None if parts[1] == "__init__" else parts[1]


def dotted(path):
    """The module's package, as a list of names."""
    return list(path.relative_to(ROOT).parts[:-1])


def checks_types_only(node):
    """`if TYPE_CHECKING:`: never run, so it is not a dependency."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports(tree, package):
    """Every module imported, dotted, in functions too."""
    found, todo = [], [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *(node.module or "").split(".")]).strip(".")
            found += [f"{base}.{alias.name}" for alias in node.names]
        todo += [] if checks_types_only(node) else ast.iter_child_nodes(node)
    return found


def used_parts(source, package):
    """The parts of the project that a source imports; "" for `import bayesreg` whole."""
    used = set()
    for name in imports(ast.parse(source), package):
        first, _, rest = name.partition(".")
        if first == "experiments":
            used.add("experiments")
        elif first == "bayesreg":
            used.add(rest.partition(".")[0])
    return used


SOURCES = sorted([*(ROOT / "bayesreg").rglob("*.py"), *(ROOT / "experiments").rglob("*.py")])
IDS = [str(path.relative_to(ROOT)) for path in SOURCES]


def test_every_file_has_its_layer():
    assert {part(path) for path in SOURCES} - {None} == set(LEVEL)


@pytest.mark.parametrize("path", SOURCES, ids=IDS)
def test_imports_run_one_way(path):
    own = part(path)
    if own is None:
        return  # the public names come from everywhere
    for used in used_parts(path.read_text(), dotted(path)) - {own, "__version__"}:  # the version is no part
        if own != "experiments":
            assert used in LEVEL, f"{path.name} imports {used or 'bayesreg'!r}: import the module that has the name"
            allowed = LEVEL[used] < LEVEL[own] or (own, used) in SAME_LAYER
            assert allowed, f"{own} must not import {used}"


@pytest.mark.parametrize("path", [p for p in SOURCES if part(p) in ALONE], ids=str)
def test_the_lowest_parts_import_nothing_of_the_package(path):
    assert used_parts(path.read_text(), dotted(path)) <= {part(path), "files", "interrupts", "progress", "structure"}


@pytest.mark.parametrize(
    ("source", "package", "used"),
    [
        ("import bayesreg", "bayesreg", {""}),
        ("import bayesreg.fit as f", "bayesreg", {"fit"}),
        ("from bayesreg import fit, guides", "bayesreg", {"fit", "guides"}),
        ("from bayesreg.priors.base import Prior", "bayesreg", {"priors"}),
        ("from . import model", "bayesreg", {"model"}),
        ("from .base import x", "bayesreg.priors", {"priors"}),
        ("from ..model import Model", "bayesreg.priors", {"model"}),
        ("def f():\n    from bayesreg.runs import load", "bayesreg", {"runs"}),
        ("if TYPE_CHECKING:\n    from bayesreg.runs import load", "bayesreg", set()),
        ("from experiments.base import x", "experiments", {"experiments"}),
        ("import torch, numpy.random", "bayesreg", set()),
    ],
)
def test_the_reading_itself(source, package, used):
    assert used_parts(source, package.split(".")) == used
