"""The pictures: what they draw, and that it can be read."""

import itertools
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest

from bayesreg import report, statistics
from bayesreg.methods import TECHNIQUES
from bayesreg.priors import PRIORS
from bayesreg.report import figures, style


def texts(figure):
    root = ET.fromstring(style.svg(figure))
    return ["".join(node.itertext()).strip() for node in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("value", np.linspace(0, 1, 101))
def test_text_is_readable_on_every_colour(value):
    background = figures.CMAP(value)[:3]
    assert style.contrast(style.ink(background), background) >= 4.5


def test_contrast_of_known_colours():
    assert style.contrast("black", "white") == pytest.approx(21)
    assert style.contrast("#777777", "white") == pytest.approx(4.48, abs=0.01)


def test_looks_are_fixed_and_distinct():
    names = [*PRIORS, *TECHNIQUES, "l2+entropic", "l1+entropic", "l2+ard", "spike"]
    assert len({style.look(name) for name in names}) == len(names)
    for a, b in itertools.combinations(PRIORS, 2):
        assert style.look(a).colour != style.look(b).colour
        assert style.look(a).marker != style.look(b).marker


def test_heatmap_has_every_number_as_text(comparison):
    found = texts(figures.heatmap(statistics.results(comparison)))
    for text in ("none", "l2", "smoothness", "0.910", "± 0.014", "0.25", "1.00", "(1/2)", "–", "digits"):
        assert text in found


def test_heatmap_colours_are_the_normalised_scores(comparison):
    (axes, _) = figures.heatmap(statistics.results(comparison)).axes
    colours = [patch.get_facecolor() for patch in axes.patches]
    # digits: 0, (0.81 − 0.71)/(0.91 − 0.71) = ½, 1; the last row averages: ½, ¼, 1.
    assert colours[3:] == [pytest.approx(figures.CMAP(v), abs=0.01) for v in (0.0, 0.5, 1.0, 0.5, 0.25, 1.0)]


def test_curves_are_the_mean_and_sd_over_seeds(comparison):
    figure = figures.curves(report.histories(statistics.select(comparison)))
    digits = next(ax for ax in figure.axes if ax.get_title() == "digits")
    lines = {line.get_label(): line.get_ydata() for line in digits.lines}
    assert list(lines["smoothness"]) == pytest.approx([0.1, 0.5, 0.7, 0.96])  # the mean of 0.95 and 0.97
    assert list(lines["l2"]) == pytest.approx([0.1, 0.5, 0.7, 0.91])  # of the chosen strength, 1e-3
    band = digits.collections[2].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(0.96 + 0.02 / np.sqrt(2))


def test_curves_over_seconds_add_up_the_epochs(comparison):
    figure = figures.curves(report.histories(statistics.select(comparison)), over="seconds")
    digits = next(ax for ax in figure.axes if ax.get_title() == "digits")
    times = {line.get_label(): line.get_xdata() for line in digits.lines}
    assert list(times["smoothness"]) == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert list(times["l2"]) == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert digits.get_xlabel() == "seconds of training"


def test_strengths_mark_the_chosen_one(comparison):
    figure = figures.strengths(statistics.candidates(comparison), statistics.results(comparison))
    digits = next(ax for ax in figure.axes if ax.get_title() == "digits")
    assert digits.get_xscale() == "log"
    lines = {line.get_label(): line for line in digits.lines}
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
    assert figures.strengths(statistics.candidates(runs), statistics.results(runs)) is None


def test_drawing_leaves_no_global_state(comparison):
    before = dict(matplotlib.rcParams)
    style.svg(figures.heatmap(statistics.results(comparison)))
    assert dict(matplotlib.rcParams) == before
    assert style.svg(figures.heatmap(statistics.results(comparison))) == style.svg(
        figures.heatmap(statistics.results(comparison))
    )
