"""What a run prints at the end: its metrics beside the baselines, and which it does not beat."""

from bayesreg.cli import summary


def outcome(test, baselines):
    metrics = {"validation": dict.fromkeys(test, 0.25), "test": test}
    return {
        "metrics": metrics,
        "baselines": baselines,
        "seconds": {"epoch": 2.0},
        "device": "cpu",
        "directory": "runs/x",
    }


def test_the_baselines_stand_beside_the_metrics():
    said = summary.metrics(
        outcome({"mse": 0.5, "nll": 1.5}, {"mean": {"mse": 1.0, "r2": 0.0}, "nearest class mean": {"mse": 0.75}})
    )
    header, mse, nll, *rest = said.splitlines()
    assert header.split() == ["validation", "test", "mean", "nearest", "class", "mean"]
    assert mse.split() == ["mse", "0.2500", "0.5000", "1.0000", "0.7500"]
    assert nll.split() == ["nll", "0.2500", "1.5000", "–", "–"]
    assert len({len(line) for line in (header, mse, nll)}) == 1
    assert rest == ["2 s per epoch on cpu", "runs/x"]


def test_what_is_not_beaten_is_said_in_either_direction_and_equal_is_not_beaten():
    said = summary.metrics(
        outcome(
            {"mse": 0.5, "r2": 0.5, "rmse": 0.7},
            {"ridge": {"mse": 0.4, "r2": 0.6}, "equal": {"mse": 0.5, "r2": 0.5}, "mean": {"mse": 0.9, "r2": 0.0}},
        )
    )
    assert [line for line in said.splitlines() if "beat" in line] == [
        "does not beat the baseline ridge in mse and r2",
        "does not beat the baseline equal in mse and r2",
    ]


def test_without_baselines():
    assert summary.metrics(outcome({"mse": 0.5}, {})).splitlines()[0].split() == ["validation", "test"]
