"""The pictures: what they draw, and that it can be read."""

import itertools
import math
import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from bayesreg import report, statistics
from bayesreg.files import save_tensors
from bayesreg.methods import TECHNIQUES
from bayesreg.priors import PRIORS
from bayesreg.report import cost, curves, forest, heatmap, panels, reliability, strengths, style, tables, weights

THEMES = {"light": style.LIGHT, "dark": style.DARK}
NAMES = [*PRIORS, *TECHNIQUES, "l2@normal", "l2+entropic", "l1+entropic", "l2+ard", "spike"]


def axes_of(picture, title, number=0):
    """One panel of a picture, drawn by itself."""
    group = next(group for group in picture.groups if group.title == title)
    axes = Figure().add_subplot()
    group.panels[number].draw(axes)
    return axes


def drawn_lines(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def texts(picture):
    root = ET.fromstring(picture)
    return ["".join(node.itertext()).strip() for node in root.iter("{http://www.w3.org/2000/svg}text")]


# --- Colours ---


@pytest.mark.parametrize("theme", THEMES)
def test_text_is_readable_on_paper_and_on_every_colour_of_the_heatmap(theme):
    theme = THEMES[theme]
    for name in ("ink", "soft", "link"):
        assert style.contrast(theme[name], theme["paper"]) >= 4.5
    assert style.contrast(theme["ink"], theme["rope"]) >= 4.5
    for tint in np.linspace(-1, 1, 41):
        assert style.contrast(theme["ink"], heatmap.paint(tint, theme)) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
def test_every_line_stands_out_from_the_paper(theme):
    light, dark = style.variables(NAMES)
    assert light.keys() == dark.keys()
    for name, colour in {"light": light, "dark": dark}[theme].items():
        if name not in style.LIGHT:
            assert style.contrast(colour, THEMES[theme]["paper"]) >= 3
    assert {style.look(name).colour for name in NAMES} <= set(light.values())


def test_contrast_of_known_colours():
    assert style.contrast("black", "white") == pytest.approx(21)
    assert style.contrast("#777777", "white") == pytest.approx(4.48, abs=0.01)


def test_looks_are_fixed_and_distinct():
    assert len({style.look(name) for name in NAMES}) == len(NAMES)
    for a, b in itertools.combinations(PRIORS, 2):
        assert style.look(a).colour != style.look(b).colour
        assert style.look(a).marker != style.look(b).marker


@pytest.mark.parametrize(
    ("text", "expected"), [("l2", "l2"), ("x" * 8, "x" * 8), ("x" * 9, "x" * 7 + "…"), ("日" * 9, "日日日…"), ("", "")]
)
def test_a_name_is_cut_to_the_room_that_there_is(text, expected):
    assert style.shortened(text, 8) == expected
    assert style.letters(expected) <= 8


# --- The heatmap ---


@pytest.mark.parametrize(
    ("difference", "half", "higher", "expected"),
    [
        (0.1, 0.2, True, 0.0),  # 0 is in the interval
        (0.2, 0.2, True, 0.0),
        (0.4, 0.2, True, 0.5),  # ¼ + ¾ · (2 − 1)/(4 − 1)
        (0.4, 0.2, False, -0.5),
        (-0.8, 0.2, True, -1.0),
        (-9.0, 0.2, False, 1.0),
        (0.3, math.nan, True, 0.0),
        (0.3, 0.0, True, 1.0),
    ],
)
def test_the_colour_is_the_difference_in_units_of_its_interval(difference, half, higher, expected):
    assert heatmap.tint(difference, half, higher) == pytest.approx(expected)


def test_noise_has_no_colour():
    """Of differences without any effect, in intervals at 95 %, one in twenty has a colour."""
    noise = np.random.default_rng(0).normal(size=10_000)
    assert np.mean([heatmap.tint(d, 1.96) != 0 for d in noise]) == pytest.approx(0.05, abs=0.006)


def test_heatmap_has_every_number_as_text_and_its_colours(comparison):
    results = statistics.results(comparison)
    tints = heatmap.tints(results, statistics.select(comparison), None)
    assert tints[("digits", "l2")] == 1  # by 0.1 in both seeds
    assert tints[("diabetes", "l2")] == 0  # −0.01 and −0.05: Student's interval of two seeds has 0 in it
    figure = heatmap.heatmap(heatmap.tinted(tables.scores(results, joint="\n± "), tints))
    found = texts(style.svg(figure))
    for text in ("none", "l2", "smoothness", "0.910", "± 0.014", "0.25", "1.00", "(1/2)", "–", "digits"):
        assert text in found
    faces = [patch.get_facecolor() for patch in figure.axes[0].patches]
    assert faces[3:6] == [matplotlib.colors.to_rgba(style.LIGHT[name]) for name in ("paper", "better", "better")]


# --- The forest plot ---


@pytest.fixture
def paired():
    """Two methods against none, in NLL and in accuracy: one better in NLL, one far off and worse."""
    numbers = {"none": (math.nan,) * 3, "l2": (-0.2, -0.3, -0.1), "l1": (-0.1, -0.2, 0.1), "ard": (5.0, 4.0, 6.0)}
    verdicts = {"none": "", "l2": "better", "l1": "undecided", "ard": "worse"}
    rows = []
    for method, (mean, low, high) in numbers.items():
        row = {"task": "digits", "method": method, "status": "done", "recommended": method == "l2"}
        row |= {"nll_difference": mean, "nll_low": low, "nll_high": high, "nll_verdict": verdicts[method]}
        rows.append(row | {"accuracy_difference": math.nan, "accuracy_low": math.nan, "accuracy_high": math.nan})
    results = pd.DataFrame([{"task": "digits", "method": m, "metric": "accuracy"} for m in numbers])
    seconds = {"none": 1.0, "l2": 1.5, "l1": 1.25, "ard": 2.0}
    accuracy = {"none": 0.8, "l2": 0.9, "l1": 0.8, "ard": 0.7}
    results = results.assign(accuracy_mean=results["method"].map(accuracy))
    return pd.DataFrame(rows), results.assign(seconds_epoch_mean=results["method"].map(seconds))


def test_forest_draws_differences_intervals_and_the_rope(paired):
    picture = forest.forest(*paired)
    axes = axes_of(picture, "digits")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["l1", "l2", "ard"]
    intervals = [list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2][1:]
    assert intervals == [[-0.2, 0.1], [-0.3, -0.1]]
    points = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "o"]
    assert points == [-0.1, -0.2]
    (rope,) = axes.patches
    assert (rope.get_x(), rope.get_width()) == (pytest.approx(-0.01), pytest.approx(0.02))
    assert [line.get_marker() for line in axes.lines][-1] == ">"  # ard is beyond the frame
    assert axes.get_xlim()[1] < 1
    said = [text.get_text() for text in axes.texts]
    assert said[:3] == ["−0.100 undecided", "−0.200 better", "+5.000 worse"]
    assert said[3] == "← better"


def test_forest_of_a_metric_without_intervals_has_points_alone(paired):
    axes = axes_of(forest.forest(*paired), "digits", 1)
    assert axes.get_xlabel() == "test accuracy − that of none"
    assert [text.get_text() for text in axes.texts][1:] == ["+0.100 no interval", "−0.100 no interval", "better →"]
    assert all(line.get_marker() == "o" for line in axes.lines[1:])


def test_a_task_judged_by_the_nll_alone_has_one_panel_beside_others_with_two(paired):
    table, results = paired
    table = pd.concat([table, table.assign(task="other")])
    results = pd.concat([results, results.assign(task="other", metric="nll")])
    picture = forest.forest(table, results)
    assert [(group.title, len(group.panels)) for group in picture.groups] == [("digits", 2), ("other", 1)]
    drawn = panels.drawn(picture, "forest", style.LIGHT)
    assert [(title, len(shown)) for title, shown in drawn.groups] == [("digits", 2), ("other", 1)]
    assert {"digits", "other"} <= set(texts(drawn.svg))


def test_forest_in_words_has_every_number(paired):
    alt = forest.forest(*paired).alt
    assert "l2 −0.200 [−0.300, −0.100] better (recommended)" in alt
    assert "l1 −0.100 [−0.200, +0.100] undecided" in alt


def test_cost_is_the_ratio_of_seconds_to_none(paired):
    axes = axes_of(cost.cost(*paired), "digits")
    points = {
        (float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axes.lines if line.get_marker() in "^sD"
    }
    assert points == {(1.5, -0.2), (1.25, -0.1), (2.0, 5.0)}


# --- Curves and strengths ---


def test_curves_are_the_mean_and_sd_over_seeds(comparison):
    digits = axes_of(curves.curves(report.histories(statistics.select(comparison))), "digits")
    lines = {name: line.get_ydata() for name, line in drawn_lines(digits).items()}
    assert list(lines["smoothness"]) == pytest.approx([0.1, 0.5, 0.7, 0.96])  # the mean of 0.95 and 0.97
    assert list(lines["l2"]) == pytest.approx([0.1, 0.5, 0.7, 0.91])  # of the chosen strength, 1e-3
    band = digits.collections[2].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(0.96 + 0.02 / np.sqrt(2))


def test_curves_over_seconds_add_up_the_epochs(comparison):
    digits = axes_of(curves.curves(report.histories(statistics.select(comparison)), over="seconds"), "digits")
    times = {name: line.get_xdata() for name, line in drawn_lines(digits).items()}
    assert list(times["smoothness"]) == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert list(times["l2"]) == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert digits.get_xlabel() == "seconds of training"


def test_curves_by_method_are_differences_to_none_and_more_is_better(make, root):
    for seed in (0, 1):
        make("none", None, seed, 0.5, metric="mse")
        make("l2", 1e-3, seed, 0.4, metric="mse")
    picture = curves.by_method(report.histories(statistics.select(report.load(root))))
    assert [group.title for group in picture.groups] == ["l2"]
    assert list(picture.legend) == ["digits"]
    assert list(axes_of(picture, "l2").lines[1].get_ydata()) == pytest.approx([0, 0, 0, 0.1])


def test_long_curves_keep_both_ends(make, root):
    axes = Figure().add_subplot()
    mean = pd.Series(np.arange(1000.0))
    curves.line(axes, "l2", mean, mean * np.nan)
    assert len(axes.lines[0].get_xdata()) <= curves.MOST
    assert (axes.lines[0].get_xdata()[0], axes.lines[0].get_xdata()[-1]) == (0, 999)


def test_strengths_mark_the_chosen_one(comparison):
    digits = axes_of(strengths.strengths(statistics.candidates(comparison), statistics.results(comparison)), "digits")
    assert digits.get_xscale() == "log"
    lines = drawn_lines(digits)
    assert list(lines["l2"].get_xdata()) == [1e-4, 1e-3]
    assert list(lines["l2"].get_ydata()) == pytest.approx([0.17, 0.09])  # of the NLL, which chooses
    assert digits.get_ylabel() == "validation nll"
    rings = [line for line in digits.lines if line.get_markersize() > 10]
    assert [(ring.get_xdata()[0], ring.get_ydata()[0]) for ring in rings] == [
        (1e-3, pytest.approx(0.09)),
        (1e-2, pytest.approx(0.04)),
    ]


def test_no_strength_no_picture(make, root):
    make("none", None, 0)
    runs = report.load(root)
    assert strengths.strengths(statistics.candidates(runs), statistics.results(runs)) is None


def test_one_strength_has_a_frame_about_it(make, root):
    for seed in (0, 1):
        make("none", None, seed, 0.8 + 0.1 * seed)
        make("l2", 0.1, seed, 0.7 + 0.1 * seed)
    runs = report.load(root)
    axes = axes_of(strengths.strengths(statistics.candidates(runs), statistics.results(runs)), "digits")
    assert axes.get_xlim() == pytest.approx((0.01, 1.0))


# --- Calibration and weights ---


def test_reliability_by_hand(make, root):
    """20 predictions that are 0.65 sure, of which 13 are right, and 5 that are too few for a bin."""
    folder = make("none", None, 0)
    confidence = np.array([0.65] * 20 + [0.95] * 5, dtype=np.float32)
    right = np.array([1.0] * 13 + [0.0] * 7 + [1.0] * 5, dtype=np.float32)
    np.savez(folder / "scores.npz", confidence=confidence, accuracy=right)
    make("none", None, 0, dataset="older")
    picture, unknown = reliability.reliability(statistics.select(report.load(root)))
    assert unknown == ["older"]
    line = axes_of(picture, "digits").lines[1]
    assert line.get_xydata().tolist() == [[pytest.approx(0.65), pytest.approx(0.65)]]


def test_the_bins_give_the_ece():
    from bayesreg import metrics

    generator = np.random.default_rng(0)
    probs = generator.dirichlet(np.ones(3), 20_000)
    y = generator.integers(0, 3, 20_000)
    table = np.stack([probs.max(1), probs.argmax(1) == y], 1)
    found = reliability.bins(table)
    ece = (np.abs(found[:, 0] - found[:, 1]) * found[:, 2]).sum() / found[:, 2].sum()
    assert ece == pytest.approx(metrics.ece(torch.tensor(probs), torch.tensor(y), bins=reliability.BINS), abs=1e-4)


def test_weights_are_those_of_the_posterior_without_biases(tmp_path):
    import bayesreg as br

    for prior, guide in ((br.L2(), "delta"), (br.ARD(), "normal")):
        net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.SiLU(), torch.nn.Linear(8, 3))
        model = br.Model(net, prior, br.Categorical(), size=32)
        posterior = br.fit(model, br.Dataset(torch.randn(32, 4), torch.arange(32) % 3), guide=guide, epochs=1)
        posterior.save(tmp_path / "posterior.pt")
        found = weights.of_posterior(weights.load_tensors(tmp_path / "posterior.pt", "posterior"))
        expected = torch.cat([v.flatten() for n, v in posterior.parameters().items() if n in ("0.weight", "2.weight")])
        assert np.sort(found) == pytest.approx(np.sort(expected.numpy()))


def test_weights_of_what_has_no_centre_are_left_out(make, root):
    folder = make("none", None, 0)
    state = {"parameters": {"other": torch.ones(2)}, "network": {"w": torch.ones(2, 1)}, "blocks": [("flat", ["w"])]}
    save_tensors(folder / "posterior.pt", "posterior", state)
    (make("l2", 0.1, 0) / "posterior.pt").write_bytes(b"damaged")
    assert weights.weights(statistics.select(report.load(root))) is None


# --- Panels: one drawing, together and apart ---


@pytest.fixture
def made(comparison):
    epochs = report.histories(statistics.select(comparison))
    variables = style.variables(comparison["method"])[0]
    return panels.drawn(curves.curves(epochs), "curves", variables), variables


def test_a_panel_on_the_page_is_that_of_the_file(made):
    drawn, _ = made
    whole = texts(drawn.svg)
    assert [title for title, _ in drawn.groups] == ["diabetes", "digits"]
    for title, (shown,) in drawn.groups:
        own = texts(shown.svg)
        assert own
        assert set(own) <= set(whole)
        assert "epoch" in own
        assert title in whole
    assert [entry.alt for entry in drawn.legend] == ["none", "l2", "smoothness"]
    assert [texts(entry.svg) for entry in drawn.legend] == [["none"], ["l2"], ["smoothness"]]


def test_a_panel_takes_its_colours_from_the_style_sheet_and_no_name_twice(made):
    drawn, variables = made
    body = "".join(shown.svg for _, shown in drawn.groups for shown in shown) + "".join(e.svg for e in drawn.legend)
    names = [part.split('"')[0] for part in body.split(' id="')[1:]]
    assert len(names) == len(set(names)) > 0
    used = {part.split('"')[0].split(")")[0] for part in body.replace("url(#", 'href="#').split('href="#')[1:]}
    assert used <= set(names)
    assert {part.split(")")[0] for part in body.split("var(--")[1:]} <= set(variables)
    assert not any(colour in body for colour in variables.values())


def test_nothing_is_smaller_than_nine_pixels(made):
    body = "".join(panel.svg for _, shown in made[0].groups for panel in shown)
    sizes = [float(size) for size in re.findall(r"([\d.]+)px", body)]
    assert min(sizes) / panels.POINTS >= 9


def test_drawing_leaves_no_global_state(made, comparison):
    before = dict(matplotlib.rcParams)
    epochs = report.histories(statistics.select(comparison))
    assert panels.drawn(curves.curves(epochs), "curves", made[1]) == made[0]  # byte by byte
    assert dict(matplotlib.rcParams) == before
