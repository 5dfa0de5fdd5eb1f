"""The strokes of the picture: rounded tracks, arrowheads, boxes and lines of text, as SVG elements."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import dist
from typing import Final

from interlock.engine.diagram.layout import GUARD_SIZE, TRIGGER_SIZE, Anchor, Box, Point, text_width

_CORNER: Final = 12
_SETTING: Final = {
    "trigger": (TRIGGER_SIZE, True),
    "guard": (GUARD_SIZE, False),
    "name": (TRIGGER_SIZE, True),
    "standing": (12, False),
    "caption": (GUARD_SIZE, False),
}


def path(points: Sequence[Point]) -> str:
    """The track with rounded corners; it stops short of the arrow's point, which would blunt it otherwise."""
    parts = [f"M{points[0][0]:g} {points[0][1]:g}"]
    for before, (x, y), after in zip(points, points[1:], points[2:], strict=False):
        ax, ay = towards((x, y), before, min(_CORNER, dist((x, y), before) / 2))
        bx, by = towards((x, y), after, min(_CORNER, dist((x, y), after) / 2))
        parts.append(f"L{ax:g} {ay:g}Q{x:g} {y:g} {bx:g} {by:g}")
    x, y = towards(points[-1], points[-2], 6)
    return "".join(parts) + f"L{x:g} {y:g}"


def towards(point: Point, other: Point, length: float) -> Point:
    """The point that lies `length` from one point on the straight way to the other."""
    whole = dist(point, other)
    share = length / whole if whole else 0
    return round(point[0] + (other[0] - point[0]) * share, 1), round(point[1] + (other[1] - point[1]) * share, 1)


def arrowhead(css: str, points: Sequence[Point], size: float) -> str:
    """The triangle at the end of a track."""
    (tx, ty), (bx, by) = points[-1], towards(points[-1], points[-2], size)
    dx, dy = (ty - by) * 0.5, (bx - tx) * 0.5
    corners = (f"M{tx:g} {ty:g}L{bx + dx:.1f} {by + dy:.1f}", f"L{bx - dx:.1f} {by - dy:.1f}Z")
    return f'<path class="{css}" d="{"".join(corners)}"/>'


def text(css: str, words: str, x: float, y: float, anchor: Anchor = "start") -> str:
    """A line of text, set to the width that the layout reckons with, whatever font the reader has."""
    size, bold = _SETTING[css]
    width = text_width(words, size, bold=bold)
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    attributes = f'class="{css}" x="{x:g}" y="{y:g}"{place} font-size="{size}" textLength="{width:g}"'
    return f"<text {attributes}>{escape(words)}</text>"


def rect(css: str, box: Box, inset: float, radius: float) -> str:
    """A box drawn `inset` within its border; a negative one lies around it."""
    x, y = box.x - box.width / 2 + inset, box.y - box.height / 2 + inset
    width, height = box.width - 2 * inset, box.height - 2 * inset
    rounded = min(radius + max(0, -inset), height / 2) if box.width < 40 else radius
    return f'<rect class="{css}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{rounded:g}"/>'
