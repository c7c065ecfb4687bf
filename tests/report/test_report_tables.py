"""The numbers as a reader sees them."""

import math

import pytest

from bayesreg import report, statistics
from bayesreg.report import phrases, tables


def cells(table):
    return [[cell.text for cell in row] for row in table.rows]


@pytest.mark.parametrize(
    ("mean", "sd", "text"),
    [
        (0.9567, 0.0123, "0.957 ± 0.012"),
        (0.0123, 0.0042, "0.012 ± 0.004"),
        (0.00123, 0.0004, "0.0012 ± 0.0004"),
        (12.345, 1.0, "12.35 ± 1.00"),
        (2917.4, 103.2, "2917 ± 103"),
        (-0.5, 0.25, "−0.500 ± 0.250"),
        (3.2e9, 1e8, "3.2e+09 ± 1.0e+08"),
        (0.0, 0.0, "0.000 ± 0.000"),
        (0.5, math.nan, "0.500"),
        (math.nan, math.nan, "–"),
        (-0.0, math.nan, "0.000"),
    ],
)
def test_numbers_as_text(mean, sd, text):
    assert tables.spread(mean, sd) == text


def test_scores_by_hand(comparison):
    table = tables.scores(statistics.results(comparison))
    # sd of two values 0.02 apart: 0.02/√2 = 0.0141; the data set without smoothness has an empty cell.
    assert table.header == ["", "metric", "none", "l2", "smoothness"]
    assert cells(table) == [
        ["diabetes", "r2", "0.310 ± 0.014", "0.280 ± 0.014", "–"],
        ["digits", "accuracy", "0.710 ± 0.014", "0.810 ± 0.014", "0.910 ± 0.014"],
        ["average", "scaled", "0.50", "0.25", "1.00 (1/2)"],
    ]
    assert [[cell.marked for cell in row[2:]] for row in table.rows[:2]] == [
        [True, False, False],
        [False, False, True],
    ]


def test_seconds_and_their_ratio_to_none(comparison):
    rows = cells(tables.seconds(statistics.results(comparison)))
    assert rows[1] == [
        "digits",
        *(f"{s} ± 0.000\n{r}×" for s, r in [("0.250", "1.00"), ("0.250", "1.00"), ("0.500", "2.00")]),
    ]


def test_differences_to_none(comparison):
    table = tables.differences(statistics.paired(statistics.select(comparison)))
    # digits: +0.1 for both seeds; diabetes: −0.01 and −0.05.
    assert cells(table)[1] == ["digits", "+0.1000 ± 0.0000\nn = 2", "+0.2000 ± 0.0000\nn = 2"]
    assert cells(table)[0] == ["diabetes", "−0.0300 ± 0.0283\nn = 2", "–"]


def test_metrics_show_both_strengths_and_mark_the_best(comparison):
    table = tables.metrics(statistics.results(comparison), "digits", report.baselines(comparison))
    assert table.header == ["method", "strength", "natural", "seeds", "accuracy", "nll"]
    assert cells(table)[1] == ["l2", "0.001", "scale=0.5", "2", "0.810 ± 0.014", "0.190 ± 0.014"]
    assert [cell.marked for cell in table.rows[2][4:]] == [True, True]  # accuracy is high, nll low


def test_budget(comparison):
    assert cells(tables.budget(statistics.results(comparison))) == [
        ["diabetes", "1 × 2", "1 × 2", "–"],
        ["digits", "1 × 2", "2 × 2", "1 × 2"],
    ]


def test_terminal_table(comparison):
    lines = report.terminal(comparison).split("\n")
    assert lines[0].split() == ["metric", "none", "l2", "smoothness"]
    assert lines[2].split() == ["diabetes", "r2", "0.310±0.014*", "0.280±0.014", "–"]
    assert lines[3].split() == ["digits", "accuracy", "0.710±0.014", "0.810±0.014", "0.910±0.014*"]
    assert lines[5].split() == ["average", "scaled", "0.50", "0.25", "1.00", "(1/2)"]
    assert "2 seeds" in lines[6]


def test_terminal_table_is_aligned_and_narrow(make, root):
    for dataset in ("synthetic", "digits", "diabetes"):
        for prior in ("none", "l1", "l2", "ard", "entropic", "smoothness"):
            for seed in (0, 1):
                score = 0.5 + 0.01 * len(prior) + 0.02 * seed
                make(prior, None if prior == "none" else 1e-3, seed, score, score, dataset)
    lines = report.terminal(report.load(root)).split("\n")
    assert max(map(len, lines)) <= 100
    ends = {line.rfind("±") for line in lines[2:5]}
    assert len(ends) == 1


def test_failed_methods_are_named_in_the_table(make, root):
    make("none", None, 0)
    make("none", None, 1)
    make("l2", 1e-4, 0)
    make("l2", 1e-4, 1, validation=None)
    make("ard", 1e-4, 0)
    line = report.terminal(report.load(root)).split("\n")[2]
    assert line.split() == ["digits", "0.800±0.000*", "diverged", "incomplete"]


SHAPES = {
    "one run": [("l2", 1e-4, 0, {})],
    "sums": [("none", None, 0, {}), ("l2+entropic", None, 0, {}), ("l1+ard", 1e-4, 0, {})],
    "guides": [(f"l2{g}", 1e-4, 0, {}) for g in ("", "@normal")],
    "techniques": [("none", None, 0, {}), ("dropout", 0.2, 0, {}), ("early_stopping", None, 0, {})],
    "folds": [("l2", None, 0, {"repeat": {"stage": "test", "partition": 0, "fold": f, "folds": 2}}) for f in (0, 1)],
    "tuning alone": [("l2", 1e-4, 0, {"repeat": {"stage": "tune"}, "test": None})],
    "nets": [("l2", 1e-4, 0, {"net": n}) for n in ("mlp", "resnet18")],
    "metrics": [("l2", 1e-4, 0, {"dataset": d, "metric": m}) for d, m in (("a", "r2"), ("b", "accuracy"))],
    "all diverged": [("l2", 1e-4, s, {"validation": None}) for s in (0, 1)],
    "a method elsewhere": [("l2", 1e-4, 0, {"dataset": "a"}), ("l1", 1e-4, 0, {"dataset": "b"})],
    "an unknown method": [("none", None, 0, {}), ("spike", 1e-4, 0, {})],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_other_shapes(make, root, tmp_path, shape):
    for prior, strength, seed, more in SHAPES[shape]:
        make(prior, strength, seed, **more)
    runs = report.load(root)
    text = report.terminal(runs)
    assert all(task in text for task in runs["task"])
    page = report.write(root, tmp_path / "out").read_text()
    assert all(task in page for task in runs["task"])


def say(runs):
    overall, sentences = phrases.answer(statistics.results(runs), statistics.select(runs))
    return overall, dict(sentences)


def test_answer_names_winners_and_doubts(comparison):
    overall, sentences = say(comparison)
    assert overall.startswith("The best test score went to none on diabetes and to smoothness on digits.")
    assert sentences["digits"] == (
        "smoothness came first with accuracy 0.910 ± 0.014, then l2 (0.100 ± 0.000 behind). "
        "Its gain over none is 0.200 ± 0.000."
    )
    assert sentences["diabetes"] == (
        "none came first with r2 0.310 ± 0.014, then l2 (0.030 ± 0.028 behind). No method did better than none."
    )


def test_where_less_is_better_the_least_wins(make, root):
    for seed in (0, 1):
        make("none", None, seed, 0.5, 0.5 + 0.02 * seed, "mnist", metric="mse")
        make("l2", 1e-3, seed, 0.4, 0.4 + 0.02 * seed, "mnist", metric="mse")
    runs = report.load(root)
    overall, sentences = say(runs)
    assert overall.startswith("The best test score went to l2 on mnist.")
    assert sentences["mnist"] == (
        "l2 came first with mse 0.410 ± 0.014, then none (0.100 ± 0.000 behind). Its gain over none is 0.100 ± 0.000."
    )
    assert report.terminal(runs).split("\n")[2].split() == ["mnist", "0.510±0.014", "0.410±0.014*"]
    assert report.terminal(runs).split("\n")[4].split() == ["average", "0.00", "1.00"]


def test_average_in_words_is_of_the_figure_and_of_methods_with_every_task(comparison):
    overall, _ = say(comparison)  # smoothness has 1.00, but of one data set only
    assert "none has the highest normalised score, 0.50" in overall
    assert "l2 the next, 0.25" in overall


def test_lead_within_its_sd_is_no_clear_win(make, root):
    for seed, (none, l2) in enumerate([(0.70, 0.75), (0.72, 0.71)]):  # l2 − none: 0.05 and −0.01
        make("none", None, seed, test=none)
        make("l2", 1e-4, seed, test=l2)
    overall, sentences = say(report.load(root))
    assert "no clear winner" in overall
    assert "none (0.020 ± 0.042 behind) is within one standard deviation of it" in sentences["digits"]
    assert "gain" not in sentences["digits"]


def test_one_seed_judges_nothing(make, root):
    make("none", None, 0, test=0.7)
    make("l2", 1e-4, 0, test=0.9)
    overall, sentences = say(report.load(root))
    assert "one seed" in overall
    assert "l2 came first" in sentences["digits"]
    assert "leaves open whether that is chance" in sentences["digits"]


def test_nothing_compared_is_said(make, root):
    make("l2", 1e-4, 0)
    overall, sentences = say(report.load(root))
    assert overall.startswith("Nothing is compared yet")
    assert "no other method finished" in sentences["digits"]
