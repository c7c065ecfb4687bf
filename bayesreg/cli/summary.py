"""What a run says on the terminal: its priors before, its metrics beside the baselines after."""

from __future__ import annotations

from typing import Any


def sentence(record: dict[str, Any]) -> str:
    """A prior in both conventions, in one line."""
    parts = [f"{k} {v:.4g}" for k, v in record["natural"].items() if isinstance(v, float) and k != "strength"]
    if record["strength"] is not None:
        parts.append(f"strength {record['strength']:.4g} per datum, λ = {record['lambda']:.4g} on the data set")
    return f"prior {record['name']}: " + ", ".join([*parts, f"N = {record['size']}"])


def metrics(outcome: dict[str, Any]) -> str:
    """The final metrics beside the baselines, where they do not beat one, and where they are, for the terminal."""
    test, baselines = outcome["metrics"]["test"], outcome["baselines"]
    columns = {"validation": outcome["metrics"]["validation"], "test": test} | baselines
    lines = [" " * 12 + "".join(f"  {column:>10}" for column in columns)]
    for metric in test:
        cells = [f"{values[metric]:.4f}" if metric in values else "–" for values in columns.values()]
        lines.append(f"{metric:12}" + "".join(f"  {c:>{max(10, len(n))}}" for n, c in zip(columns, cells, strict=True)))
    lines += [line for name, values in baselines.items() if (line := lost_to(name, values, test))]
    judged = outcome.get("convergence") or {}
    lines += [] if judged.get("converged", True) else [judged["message"]]
    return "\n".join(
        [*lines, f"{outcome['seconds']['epoch']:.3g} s an epoch on {outcome['device']}", outcome["directory"]]
    )


def lost_to(name: str, baseline: dict[str, float], test: dict[str, float]) -> str:
    """In which metrics the network does not beat a baseline; nothing where it does in all."""
    from bayesreg.metrics import METRICS

    shared = [metric for metric in test if metric in baseline]
    lost = [m for m in shared if not METRICS[m].beats(test[m], baseline[m])]
    return f"does not beat the baseline {name} in {' and '.join(lost)}" if lost else ""
