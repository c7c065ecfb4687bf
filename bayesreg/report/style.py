"""How page and figures look: one palette, light and dark, one look for a method everywhere, legible text."""

from __future__ import annotations

import io
import textwrap
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import matplotlib
import numpy as np
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from bayesreg import statistics
from bayesreg.methods import Method, Technique
from bayesreg.priors import Look

# The style sheet's variables. Pictures are drawn in the light ones, and the page puts the variables in their place.
LIGHT = {"paper": "#ffffff", "ink": "#222222", "soft": "#595959", "line": "#d9d9d9", "link": "#00589c"}
LIGHT |= {"rope": "#e8ebee", "better": "#8cc3ee", "worse": "#f2b583"}
DARK = {"paper": "#161616", "ink": "#e8e8e8", "soft": "#a9a9a9", "line": "#3d3d3d", "link": "#7cc0f5"}
DARK |= {"rope": "#2b2f33", "better": "#155a8a", "worse": "#86430f"}
SEEN = 3.0  # the least contrast of a line or a marker with the paper (WCAG 2.1, 1.4.11)
TASKS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe & Ito (2008)
SMALL, USUAL = 7.0, 8.0  # points: 9.3 and 10.7 pixels on the page

# A name from outside is shown as it is: $ in it is not mathematics.
verbatim = matplotlib.rc_context({"text.parse_math": False})


def lines(text: str, width: int = 28) -> str:
    """A name in three lines at most, so that a long one leaves room for the picture."""
    return "\n".join(textwrap.wrap(text, width, max_lines=3, placeholder=" …"))


def letters(text: str) -> int:
    """How long a text is, in Latin letters: those of Chinese, and emoji, are about twice as wide."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def shortened(text: str, most: int) -> str:
    """The text where it has at most so many letters, or else the first ones and …"""
    if len(text) <= most and letters(text) <= most:
        return text
    text = text[: most - 1]
    while letters(text) >= most:
        text = text[:-1]
    return f"{text}…"


def look(method: str) -> Look:
    """The colour, marker and line of a method by its name; one look for all of the user's own, which have no text."""
    own = _look(method)
    return own._replace(colour=seen(own.colour, LIGHT))


def of_methods(methods: Iterable[str]) -> dict[str, Look]:
    """The looks of methods, in the order of all tables."""
    return {method: look(method) for method in statistics.ordered(methods)}


def of_tasks(tasks: Sequence[str]) -> dict[str, Look]:
    """The looks of tasks where each has a line; from the seventh on the colours repeat, dashed."""
    dashes = ("-", (0, (4, 2)), (0, (1, 1.5)))
    return {
        task: Look(seen(TASKS[i % len(TASKS)], LIGHT), "", dashes[i // len(TASKS) % len(dashes)])
        for i, task in enumerate(tasks)
    }


def _look(method: str) -> Look:
    try:
        return Method.parse(method).look
    except ValueError:
        return Technique.look


def _colours(method: str) -> list[str]:
    """The colours of a method and of each of its terms, such as the prior in a sum."""
    try:
        return [_look(method).colour, *(term.kind.look.colour for term in Method.parse(method).terms)]
    except ValueError:
        return [_look(method).colour]


def seen(colour: str | tuple, theme: Mapping[str, str]) -> str:
    """The colour, mixed with as much ink as it needs to stand out from the paper; black is the ink itself."""
    if to_hex(colour) == "#000000":
        return theme["ink"]
    steps = np.linspace(0, 1, 41)
    return next(mixed for s in steps if contrast(mixed := mix(theme["ink"], colour, s), theme["paper"]) >= SEEN)


def mix(one: str | tuple, other: str | tuple, share: float) -> str:
    """share · one + (1 − share) · other in sRGB, as CSS's color-mix(in srgb, …)."""
    return to_hex(share * np.array(to_rgb(one)) + (1 - share) * np.array(to_rgb(other)))


def colours(methods: Iterable[str]) -> dict[str, str]:
    """{colour as it is drawn: the same on dark paper} of the methods and of tasks."""
    every = [*(colour for method in methods for colour in _colours(method)), *TASKS]
    own = {seen(colour, LIGHT): seen(colour, DARK) for colour in every}
    return {light: dark for light, dark in own.items() if light not in LIGHT.values()}


def variables(methods: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The style sheet's variables on light and on dark paper, those of the methods' colours with them."""
    own = colours(methods)
    named = {light.replace("#", "c"): light for light in own}
    return LIGHT | named, DARK | {name: own[light] for name, light in named.items()}


def svg(figure: Figure) -> bytes:
    """The picture as SVG whose text is text; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "bayesreg"}), unprinted():
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def png(figure: Figure, dpi: int = 144) -> bytes:
    """The picture in pixels; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with unprinted():
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


@contextmanager
def unprinted() -> Iterator[None]:
    """Without the warning of a glyph that Matplotlib's own font lacks: the reader's browser has other fonts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def contrast(a: str | tuple, b: str | tuple) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2): text needs 4.5."""
    low, high = sorted((_luminance(to_rgb(a)), _luminance(to_rgb(b))))
    return (high + 0.05) / (low + 0.05)


def _luminance(rgb: tuple) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))
