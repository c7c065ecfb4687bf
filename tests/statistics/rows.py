"""Rows of runs as `report.load` makes them."""

import math

import pandas as pd


def run(method="l2", strength=1e-4, seed=0, validation=0.9, test=0.8, dataset="digits", stage=None, folds=1, **more):
    """One row; validation None is a run that diverged. The NLL, by which strengths are chosen, is 1 − the score."""
    text = method if strength is None else f"{method}:{strength:g}"
    row = {
        "task": dataset,
        "method": method,
        "candidate": text,
        "metric": "accuracy",
        "strength": math.nan if strength is None else strength,
        "tuned": () if strength is None else (strength,),
        "seed": seed,
        "stage": stage,
        "folds": folds,
        "partition": -1,
        "fold": -1,
        "status": "diverged" if validation is None else "done",
        "message": None,
    }
    for split, value in (("validation", validation), ("test", test)):
        known = math.nan if validation is None or value is None else value
        row |= {f"{split}_accuracy": known, f"{split}_nll": 1 - known}
    return row | more


def frame(*rows):
    return pd.DataFrame(list(rows))
