"""How the pictures look: one colour, marker and line for a method everywhere, and text that can be read."""

import io
import textwrap
import warnings

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from bayesreg.methods import Method, Technique
from bayesreg.priors import Look

# A name from outside is shown as it is: $ in it is no mathematics.
verbatim = matplotlib.rc_context({"text.parse_math": False})


def lines(text: str, width: int = 28) -> str:
    """A name in three lines at most, so that a long one leaves room for the picture."""
    return "\n".join(textwrap.wrap(text, width, max_lines=3, placeholder=" …"))


def look(method: str) -> Look:
    """The colour, marker and line of a method by its name; one look for those of the user's own, which no text says."""
    try:
        return Method.parse(method).look
    except ValueError:
        return Technique.look


def svg(figure: Figure) -> bytes:
    """The picture as SVG whose text is text; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "bayesreg"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # the reader's browser has other fonts
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def contrast(a: str | tuple, b: str | tuple) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2): text needs 4.5."""
    low, high = sorted((_luminance(to_rgb(a)), _luminance(to_rgb(b))))
    return (high + 0.05) / (low + 0.05)


def _luminance(rgb: tuple) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def ink(background: tuple) -> str:
    """Black or white, whichever reads better on the background."""
    return max(("black", "white"), key=lambda colour: contrast(colour, background))
