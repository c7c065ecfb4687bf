"""A picture of equally wide panels: together in a file, and one by one on the page, which arranges them itself.

Everything is drawn once: on the page, a panel is its axes cut out of the whole picture.
"""

from __future__ import annotations

import itertools
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from bayesreg.priors import Look
from bayesreg.report.style import LIGHT, SMALL, USUAL, letters, lines, png, shortened, svg, verbatim

WIDTH = 340  # pixels of a panel: what a phone shows between its margins
GAP, TITLE, ENTRY = 12, 24, 18  # pixels between panels, of a title, of a line of the legend
POINTS = 0.75  # of a pixel: an inch is 72 points, or 96 pixels
LETTER = 6.2  # pixels of a letter, about
SVG = "http://www.w3.org/2000/svg"
FONT = re.compile(r"'DejaVu Sans'[^;\"]*")
Place = tuple[float, float, float, float]
ET.register_namespace("", SVG)
ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")


class Panel(NamedTuple):
    """One pair of axes: the function that draws it, a description in words, its height and margins in pixels."""

    draw: Callable[[Any], None]
    alt: str
    height: int = 220
    left: int = 64
    right: int = 12
    bottom: int = 42
    top: int = 8


class Group(NamedTuple):
    """Panels under one title, one below the other."""

    title: str
    panels: list[Panel]


class Shown(NamedTuple):
    """A panel on the page: inline SVG, and its description in words."""

    svg: str
    alt: str


class Picture(NamedTuple):
    """Groups of panels, and the lines that the legend explains, by name."""

    groups: list[Group]
    legend: Mapping[str, Look] = {}

    @property
    def alt(self) -> str:
        """Its description in words."""
        return " ".join(f"{group.title}: {panel.alt}" for group in self.groups for panel in group.panels)


class Drawn(NamedTuple):
    """A picture as files, and as the page shows it: [(title, panels)], and the entries of its legend."""

    svg: bytes
    png: bytes
    groups: list[tuple[str, list[Shown]]]
    legend: list[Shown]

    @property
    def size(self) -> int:
        """Bytes on the page."""
        return sum(len(shown.svg) for _, panels in self.groups for shown in panels)


@verbatim
def drawn(picture: Picture, name: str, variables: Mapping[str, str]) -> Drawn:
    """The picture with file name `name`; variables: {name of a style sheet's variable: its colour on light paper}."""
    boxes, entries, height, columns = _layout(picture)
    size = (columns * (WIDTH + GAP), height)
    figure = Figure((size[0] / 96, size[1] / 96), facecolor=LIGHT["paper"])
    panels = [panel for group in picture.groups for panel in group.panels]
    for panel, (x, y) in zip(panels, boxes, strict=True):
        inner = (x + panel.left, y + panel.top, WIDTH - panel.left - panel.right)
        axes = _axes(figure, _place(size, *inner, panel.height - panel.top - panel.bottom))
        axes.yaxis.set_label_coords((16 - panel.left) / inner[2], 0.5)  # clear of the numbers, however long
        panel.draw(axes)
    if picture.legend:
        strip = figure.add_axes((0, 0, 1, 1), frameon=False, xticks=[], yticks=[], xlim=(0, size[0]), ylim=(size[1], 0))
        for number, ((text, look), place) in enumerate(zip(picture.legend.items(), entries, strict=True)):
            _entry(strip, number, text, look, *place)
    firsts = itertools.accumulate((len(group.panels) for group in picture.groups[:-1]), initial=0)
    for group, (x, y) in zip(picture.groups, (boxes[first] for first in firsts), strict=True):
        place = ((x + 4) / size[0], 1 - (y - TITLE / 2) / size[1])
        figure.text(*place, lines(group.title, 48), fontsize=USUAL + 1, fontweight="bold", va="center")
    made = svg(figure)
    rooms: dict[str, Place] = {
        f"axes_{i + 1}": (x, y, WIDTH, panel.height)
        for i, (panel, (x, y)) in enumerate(zip(panels, boxes, strict=True))
    }
    rooms |= {f"entry{i}": (*entries[i], _width(text), ENTRY) for i, text in enumerate(picture.legend)}
    cut = iter(_cut(made, name, rooms, {colour: name for name, colour in variables.items()}))
    groups = [(group.title, [Shown(next(cut), panel.alt) for panel in group.panels]) for group in picture.groups]
    return Drawn(made, png(figure), groups, [Shown(next(cut), text) for text in picture.legend])


def _layout(picture: Picture) -> tuple[list[tuple[float, float]], list[tuple[float, float]], float, int]:
    """Where each panel and each entry of the legend begins, in pixels from the top; the height; the columns."""
    columns = min(3, len(picture.groups)) if len(picture.groups) != 4 else 2
    tall = max(sum(panel.height for panel in group.panels) for group in picture.groups) + TITLE + GAP
    boxes: list[tuple[float, float]] = []
    for i, group in enumerate(picture.groups):
        y = (i // columns) * tall + TITLE
        for panel in group.panels:
            boxes.append(((i % columns) * (WIDTH + GAP), y))
            y += panel.height
    entries: list[tuple[float, float]] = []
    x, y = 0.0, math.ceil(len(picture.groups) / columns) * tall
    for text in picture.legend:
        if x and x + _width(text) > columns * (WIDTH + GAP):
            x, y = 0.0, y + ENTRY
        entries.append((x, y))
        x += _width(text)
    return boxes, entries, y + (ENTRY + GAP) * bool(entries), columns


def _place(size: tuple[float, float], x: float, y: float, width: float, height: float) -> Place:
    """A box in pixels from the top, as Matplotlib needs it: in shares of the picture, from the bottom."""
    return x / size[0], 1 - (y + height) / size[1], width / size[0], height / size[1]


def _axes(figure: Figure, place: Place) -> Any:
    axes = figure.add_axes(place)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(LIGHT["soft"])
    axes.tick_params(labelsize=SMALL, colors=LIGHT["ink"], color=LIGHT["soft"], length=3)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(size=USUAL, color=LIGHT["ink"])
    axes.grid(color=LIGHT["line"], linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def _width(text: str) -> float:
    return 48 + LETTER * min(letters(text), 40)


def _entry(axes: Any, number: int, text: str, look: Look, x: float, y: float) -> None:
    """A line of the legend, in axes of pixels."""
    style: dict[str, Any] = {
        "color": look.colour,
        "marker": look.marker,
        "linestyle": look.line,
        "markersize": 5,
        "linewidth": 1.4,
    }
    middle = y + ENTRY / 2
    axes.plot([x + 2, x + 17, x + 32], [middle] * 3, markevery=[1], gid=f"entry{number}-line", clip_on=False, **style)
    written: dict[str, Any] = {"va": "center", "fontsize": USUAL, "color": LIGHT["ink"]}
    axes.text(x + 38, middle, shortened(text, 40), gid=f"entry{number}-text", **written)


def _cut(picture: bytes, name: str, rooms: Mapping[str, Place], variables: Mapping[str, str]) -> Iterator[str]:
    """Each box of a picture, (x, y, width, height) in pixels, as an SVG of its own, with what its name refers to."""
    root = ET.fromstring(picture)
    known = {node.get("id"): node for node in root.iter() if node.get("id")}
    for i, (own, room) in enumerate(rooms.items()):
        groups = [known[one] for one in (own, f"{own}-line", f"{own}-text") if one in known]
        nodes = [node for group in groups for node in group.iter()]
        used = set(re.findall(r"#([\w-]+)", " ".join(v for node in nodes for v in node.attrib.values())))
        outside = "".join(_text(known[one]) for one in sorted((used & known.keys()) - {n.get("id") for n in nodes}))
        view = " ".join(f"{POINTS * value:g}" for value in room)
        body = (f"<defs>{outside}</defs>" if outside else "") + "".join(map(_text, groups))
        head = f'<svg xmlns="{SVG}" width="{room[2]:g}" height="{room[3]:g}" viewBox="{view}" aria-hidden="true">'
        yield head + _own(body, f"{name}{i}", used, variables) + "</svg>"


def _text(node: ET.Element) -> str:
    text = ET.tostring(node, encoding="unicode")
    return re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")


def _own(body: str, name: str, used: set[str], variables: Mapping[str, str]) -> str:
    """With ids that no other picture on the page has, the page's colours and fonts, and pixels to two decimals."""

    def tag(found: re.Match) -> str:
        text = re.sub(r' id="([\w.-]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", found[0])
        text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
        text = re.sub(r"#[0-9a-f]{6}\b", lambda m: f"var(--{variables[m[0]]})" if m[0] in variables else m[0], text)
        return FONT.sub("system-ui, sans-serif", re.sub(r"(\d\.\d\d)\d+", r"\1", text).replace("\n", ""))

    return re.sub(r"<[^>]+>", tag, body)  # text in the picture stays as it is
