"""Where things stand in the picture: data, and the little geometry that reads it.

The table says which arrows exist; this file only says where each one runs.  An arrow without a route here is
drawn straight across, so that a new row shows at once, and the tests ask for its route.  Tracks run level or
upright, like a track plan; those of one trigger that join are one track with one label.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, Literal, NamedTuple

from interlock.engine.core.states import State
from interlock.engine.core.table import Transition
from interlock.engine.diagram.reading import guard_names

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]

WIDTH: Final = 1182
HEIGHT: Final = 728
TRIGGER_SIZE: Final = 15
GUARD_SIZE: Final = 13

# Arial's advance widths (thousandths of an em).  Each text is set to the width computed from them
# (`textLength`), so that no reader's font can make two labels overlap.
_REGULAR: Final = {
    "abdeghnopqu_0123456789": 556,
    "cksvxyz": 500,
    "ijl": 222,
    "ft ,.:·": 278,
    "r": 333,
    "w": 722,
    "m": 833,
    "S": 667,
    "→": 1000,
}
_BOLD: Final = {
    "aceksvxy_0123456789": 556,
    "bdghnopqu": 611,
    "ijl ,.·": 278,
    "ft": 333,
    "r": 389,
    "z": 500,
    "w": 778,
    "m": 889,
}
_WIDTHS: Final = {
    bold: {letter: width for letters, width in table.items() for letter in letters}
    for bold, table in ((False, _REGULAR), (True, _BOLD))
}


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """How wide a line of text is set."""
    return round(sum(_WIDTHS[bold].get(letter, 700) for letter in text) * size / 1000, 1)


class Port(NamedTuple):
    """Where a track meets a box; `level` where it leaves sideways."""

    x: float
    y: float
    level: bool


class Box(NamedTuple):
    """A rectangle by its middle."""

    x: float
    y: float
    width: float
    height: float

    def left(self, offset: float = 0) -> Port:
        """A port on the left side, `offset` below its middle."""
        return Port(self.x - self.width / 2, self.y + offset, True)

    def right(self, offset: float = 0) -> Port:
        """A port on the right side, `offset` below its middle."""
        return Port(self.x + self.width / 2, self.y + offset, True)

    def top(self, offset: float = 0) -> Port:
        """A port on the upper side, `offset` right of its middle."""
        return Port(self.x + offset, self.y - self.height / 2, False)

    def bottom(self, offset: float = 0) -> Port:
        """A port on the lower side, `offset` right of its middle."""
        return Port(self.x + offset, self.y + self.height / 2, False)

    def overlaps(self, other: Box, *, gap: float = 0) -> bool:
        """Whether two boxes come nearer than `gap`."""
        return (
            abs(self.x - other.x) * 2 < self.width + other.width + 2 * gap
            and abs(self.y - other.y) * 2 < self.height + other.height + 2 * gap
        )


class Label(NamedTuple):
    """A trigger in bold and its guards beneath; `x`, `y` are the anchor and the upper edge."""

    x: float
    y: float
    anchor: Anchor = "start"
    one_line: bool = False
    """The guards side by side instead of one under the other."""

    def guard_lines(self, row: Transition) -> tuple[str, ...]:
        """The lines beneath the trigger."""
        names = guard_names(row.guards)
        return (" · ".join(names),) if self.one_line and names else names

    def box(self, row: Transition) -> Box:
        """The room that the label takes."""
        lines = self.guard_lines(row)
        widths = [text_width(row.trigger, TRIGGER_SIZE, bold=True), *(text_width(line, GUARD_SIZE) for line in lines)]
        width, height = max(widths), TRIGGER_SIZE + len(lines) * (GUARD_SIZE + 2)
        middle = {"start": self.x + width / 2, "middle": self.x, "end": self.x - width / 2}[self.anchor]
        return Box(middle, self.y + height / 2, width, height)


class Route(NamedTuple):
    """The way of one arrow.  A route without a label shares that of the track it joins."""

    points: tuple[Point, ...]
    label: Label | None = None


def _way(start: Port, end: Port, *turns: float) -> tuple[Point, ...]:
    """Level and upright in turn: each turn is the x (on level track) or y (on upright) where it bends."""
    points, level = [(start.x, start.y)], start.level
    for turn in turns:
        x, y = points[-1]
        points.append((turn, y) if level else (x, turn))
        level = not level
    x, y = points[-1]
    if level != end.level:
        points.append((end.x, y) if level else (x, end.y))
    elif not _is_straight((x, y), (end.x, end.y)):
        raise ValueError("a track that ends as it began needs one more turn")
    return (*points, (end.x, end.y))


def _is_straight(a: Point, b: Point) -> bool:
    return a[0] == b[0] or a[1] == b[1]


_TOP, _MAIN, _LOW, _FOOT = 102, 288, 450, 548
FRAME: Final = Box(553, 319, 738, 578)

PLACES: Final[dict[State, Box]] = {
    State.NONE: Box(32, _MAIN, 28, 28),
    State.TRIALING: Box(262, _TOP, 124, 54),
    State.INCOMPLETE: Box(262, _FOOT, 124, 54),
    State.ACTIVE: Box(480, _MAIN, 124, 54),
    State.PAUSED: Box(768, _TOP, 124, 54),
    State.PAST_DUE: Box(768, _MAIN, 124, 54),
    State.UNPAID: Box(768, _LOW, 124, 54),
    State.CANCELED: Box(1076, _MAIN, 160, 54),
    State.INCOMPLETE_EXPIRED: Box(1076, _FOOT + 10, 160, 54),
}
START_LABEL: Final[Point] = (50, _MAIN + 24)
EXIT: Final = Port(FRAME.x + FRAME.width / 2, _MAIN, True)
"""Where the arrows that every living state has leave the frame."""


def _routes() -> dict[tuple[str, State], Route]:
    none, incomplete, trialing = PLACES[State.NONE], PLACES[State.INCOMPLETE], PLACES[State.TRIALING]
    active, paused, past_due = PLACES[State.ACTIVE], PLACES[State.PAUSED], PLACES[State.PAST_DUE]
    unpaid, canceled, expired = PLACES[State.UNPAID], PLACES[State.CANCELED], PLACES[State.INCOMPLETE_EXPIRED]
    edge, ceiling, floor = EXIT.x, FRAME.top().y, FRAME.bottom().y
    return {
        ("start_trial", State.NONE): Route(_way(none.top(), trialing.left()), Label(42, _TOP + 8)),
        ("activate", State.NONE): Route(_way(none.right(), active.left()), Label(290, _MAIN + 7)),
        ("await_payment", State.NONE): Route(_way(none.bottom(), incomplete.left()), Label(42, _FOOT - 38)),
        ("activate", State.INCOMPLETE): Route(_way(incomplete.right(-10), active.bottom(-34)), Label(438, 416, "end")),
        ("start_trial", State.INCOMPLETE): Route(_way(incomplete.top(), trialing.bottom()), Label(272, 176)),
        ("expire", State.INCOMPLETE): Route(_way(incomplete.right(10), expired.left()), Label(959, 564, "middle")),
        ("activate", State.TRIALING): Route(_way(trialing.right(14), active.top(-34)), Label(438, 176, "end")),
        ("fail_payment", State.TRIALING): Route(_way(trialing.right(), past_due.left(-8), 602)),
        ("pause", State.TRIALING): Route(_way(trialing.right(-14), paused.left(-14)), Label(490, 50, one_line=True)),
        ("fail_payment", State.ACTIVE): Route(_way(active.right(-8), past_due.left(-8)), Label(607, 244)),
        ("start_trial", State.ACTIVE): Route(_way(active.left(-14), trialing.bottom())),
        ("mark_unpaid", State.ACTIVE): Route(_way(active.bottom(), unpaid.left(12)), Label(530, _LOW + 20)),
        ("pause", State.ACTIVE): Route(_way(active.top(), paused.left(-14))),
        ("recover", State.PAST_DUE): Route(_way(past_due.left(12), active.right(12)), Label(624, 307, "middle")),
        ("mark_unpaid", State.PAST_DUE): Route(_way(past_due.bottom(-22), unpaid.top(-22)), Label(738, 356, "end")),
        ("pause", State.PAST_DUE): Route(_way(past_due.top(-22), paused.bottom(-22)), Label(738, 172, "end")),
        ("recover", State.UNPAID): Route(_way(unpaid.left(-10), active.bottom(34)), Label(522, 376)),
        ("pause", State.UNPAID): Route(_way(unpaid.right(), paused.right(), 898), Label(890, 336, "end")),
        ("resume", State.PAUSED): Route(_way(paused.left(14), active.top(34)), Label(522, 176)),
        ("fail_payment", State.PAUSED): Route(_way(paused.bottom(18), past_due.top(18)), Label(795, 172)),
        ("cancel", State.INCOMPLETE): Route(_way(incomplete.bottom(), canceled.left(), floor, edge)),
        ("cancel", State.TRIALING): Route(_way(trialing.top(), canceled.left(), ceiling, edge)),
        ("cancel", State.ACTIVE): Route(_way(active.top(-16), canceled.left(), ceiling, edge)),
        ("cancel", State.PAST_DUE): Route(_way(past_due.right(), canceled.left()), Label(959, _MAIN - 42, "middle")),
        ("cancel", State.UNPAID): Route(_way(unpaid.right(12), canceled.left(), edge)),
        ("cancel", State.PAUSED): Route(_way(paused.right(12), canceled.left(), edge)),
    }


ROUTES: Final = _routes()


def straight(source: State, destination: State) -> tuple[Point, Point]:
    """The straight line from border to border, for a step that has no route."""
    start, end = PLACES[source], PLACES[destination]
    return _border(start, end), _border(end, start)


def _border(box: Box, towards: Box) -> Point:
    dx, dy = towards.x - box.x, towards.y - box.y
    reach = max(abs(dx) / (box.width / 2), abs(dy) / (box.height / 2))
    return round(box.x + dx / reach, 1), round(box.y + dy / reach, 1)


def route_of(row: Transition) -> Route:
    """The declared route of an arrow, or the straight line with a label at its middle."""
    declared = ROUTES.get((row.trigger, row.source))
    if declared is not None:
        return declared
    assert row.destination is not None, "only an arrow has a route"
    (x1, y1), (x2, y2) = points = straight(row.source, row.destination)
    return Route(points, Label((x1 + x2) / 2, (y1 + y2) / 2, "middle"))


def crossings(over: tuple[Point, ...], under: tuple[Point, ...]) -> tuple[tuple[Point, bool], ...]:
    """Where a track passes over another, and whether it runs level there; a junction is no crossing."""
    found: list[tuple[Point, bool]] = []
    for a in pairwise(over):
        for b in pairwise(under):
            level, upright = (a, b) if a[0][1] == a[1][1] else (b, a)
            x, y = upright[0][0], level[0][1]
            if upright[1][0] != x or level[1][1] != y or a[0][0] == a[1][0] == b[0][0] == b[1][0]:
                continue
            if _within(x, level[0][0], level[1][0]) and _within(y, upright[0][1], upright[1][1]):
                found.append(((x, y), level is a))
    return tuple(found)


def _within(value: float, one: float, other: float) -> bool:
    return min(one, other) + 4 < value < max(one, other) - 4
