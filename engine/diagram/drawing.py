"""The picture: one self-contained SVG, light and dark, drawn from the table over the places of the layout.

Below lie the rails, grey and always the same; above lies, for each arrow, a way that is unseen until its group
has the class `taken`.  So a page lights the current state and the way taken by setting classes, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from html import escape
from math import dist
from pathlib import Path
from typing import Final

from interlock.engine.core.states import ENDED, State
from interlock.engine.core.table import Transition
from interlock.engine.diagram.ink import arrowhead, path, rect, text, towards
from interlock.engine.diagram.layout import (
    EXIT,
    FRAME,
    GUARD_SIZE,
    HEIGHT,
    PLACES,
    START_LABEL,
    TRIGGER_SIZE,
    WIDTH,
    Box,
    Label,
    Point,
    crossings,
    route_of,
    straight,
)
from interlock.engine.diagram.legend import legend
from interlock.engine.diagram.reading import (
    ARROWS,
    FROM_THE_FRAME,
    guard_names,
    rule_between,
    standing,
)

Step = tuple[State, State]

_MOST_STEPS_SHOWN: Final = 3
_MIDDLE_FIRST: Final = (10, 9, 11, 8, 12, 7, 13, 6, 14, 5, 15, 4, 16)
# Arrows of the frame first: the ways that they light may cross labels, which then lie above them.  Those that
# share a label last: lit, they draw it once more, above the unlit one.
_IN_ORDER: Final = tuple(sorted(ARROWS, key=lambda row: (row not in FROM_THE_FRAME, route_of(row).label is None)))


def svg(*, current: State | None = None, taken: Sequence[Step] = ()) -> str:
    """Draw the machine; light the current state and, numbered, the steps taken.

    A step that no arrow makes but Stripe's answer may (`correct`, `adopt`) is drawn dashed; one that keeps the
    state is no step, and one that the table does not know at all is left out.
    """
    numbers = _numbers(taken)
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="machine" role="img" aria-label="{_summary(current)}"'
            f' viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
            "<title>The subscription state machine</title>",
            f"<style>\n{stylesheet()}</style>",
            f'<rect class="paper" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="10"/>',
            _frame(),
            '<g class="rails" aria-hidden="true">',
            *_rails(),
            "</g>",
            *_corrections(numbers),
            *(_edge(row, numbers.get((row.source, _end(row)), ())) for row in _IN_ORDER),
            *(_state(state, current, taken) for state in State),
            *legend(),
            "</svg>\n",
        )
    )


@cache
def stylesheet() -> str:
    """The picture's own style; it stands inside the SVG, which refers to nothing."""
    return Path(__file__).with_name("machine.css").read_text("utf-8")


def _end(row: Transition) -> State:
    assert row.destination is not None, "only an arrow has an end"
    return row.destination


def _numbers(taken: Sequence[Step]) -> dict[Step, tuple[int, ...]]:
    """At which places in the way each step was made."""
    found: dict[Step, tuple[int, ...]] = {}
    moves = (step for step in taken if step[0] is not step[1])
    for number, step in enumerate(moves, start=1):
        found[step] = (*found.get(step, ()), number)
    return found


def _summary(current: State | None) -> str:
    words = f"The subscription state machine: {len(State) - 1} states and {len(ARROWS)} arrows between them"
    return escape(words + (f"; current state: {current}" if current else ""))


# ── rails ──────────────────────────────────────────────────────────────────────────────────────────────────


def _rails() -> Iterator[str]:
    laid: list[tuple[Point, ...]] = []
    for row in ARROWS:
        points = route_of(row).points
        if row in FROM_THE_FRAME:
            points = ((EXIT.x, EXIT.y), points[-1])
            if points in laid:
                continue
            yield f'<circle class="tip" cx="{EXIT.x:g}" cy="{EXIT.y:g}" r="4.5"/>'
        for under in laid:
            for (x, y), level in crossings(points, under):
                yield f'<path class="bridge" d="{f"M{x - 9:g} {y:g}h18" if level else f"M{x:g} {y - 9:g}v18"}"/>'
        laid.append(points)
        yield f'<path class="rail" d="{path(points)}"/>{arrowhead("tip", points, 11)}'


# ── arrows ─────────────────────────────────────────────────────────────────────────────────────────────────


def _edge(row: Transition, steps: tuple[int, ...]) -> str:
    route, end = route_of(row), _end(row)
    condition = f" if {' and '.join(guard_names(row.guards))}" if row.guards else ""
    lit = " taken" if steps else ""
    return (
        f'<g class="edge{lit}" id="edge-{row.trigger}-{row.source}" data-trigger="{row.trigger}"'
        f' data-from="{row.source}" data-to="{end}">'
        f"<title>{escape(f'{row.source} → {end}: {row.trigger}{condition}. {row.why}')}</title>"
        f'<path class="way" d="{path(route.points)}"/>{arrowhead("point", route.points, 15)}'
        f"{_label(row, route.label)}{_badge(route.points, steps)}</g>"
    )


def _label(row: Transition, own: Label | None) -> str:
    """The arrow's label; that of the track it joins is drawn over again, unseen until the arrow is lit."""
    label = own or _shared_label(row)
    if label is None:
        return ""
    box = label.box(row)
    inside = box.overlaps(Box(FRAME.x, FRAME.y, FRAME.width - box.width, FRAME.height))
    css = "label" + ("" if own else " shared") + ("" if inside else " outside")
    lines = [text("trigger", row.trigger, label.x, box.y - box.height / 2 + TRIGGER_SIZE - 2, label.anchor)]
    for number, line in enumerate(label.guard_lines(row), start=1):
        baseline = box.y - box.height / 2 + TRIGGER_SIZE + number * (GUARD_SIZE + 2) - 3
        lines.append(text("guard", line, label.x, baseline, label.anchor))
    return f'<g class="{css}">{"".join(lines)}</g>'


def _shared_label(row: Transition) -> Label | None:
    """The label of the arrow whose last stretch this one joins."""
    last = route_of(row).points[-1]
    alike = (other for other in ARROWS if (other.trigger, other.guards) == (row.trigger, row.guards))
    routes = (route for route in map(route_of, alike) if route.points[-1] == last)
    return next((route.label for route in routes if route.label), None)


def _badge(points: Sequence[Point], steps: tuple[int, ...]) -> str:
    """The numbers of the steps, on the track where it leaves; of many, the last ones."""
    if not steps:
        return ""
    more = "…" if len(steps) > _MOST_STEPS_SHOWN else ""
    shown = more + ", ".join(map(str, steps[-_MOST_STEPS_SHOWN:]))
    x, y = towards(points[0], points[1], 20)
    width = max(19, 11 + 7 * len(shown))
    return (
        f'<g class="step"><rect x="{x - width / 2:g}" y="{y - 9.5:g}" width="{width}" height="19" rx="9.5"/>'
        f'<text x="{x:g}" y="{y + 4.3:g}">{shown}</text></g>'
    )


def _corrections(numbers: dict[Step, tuple[int, ...]]) -> Iterator[str]:
    """Steps of the way taken that no arrow makes: dashed, straight across, by the rule that allows them."""
    drawn = {(row.source, row.destination) for row in ARROWS}
    for step, steps in numbers.items():
        rule = rule_between(*step)
        if step in drawn or rule is None:
            continue
        points = straight(*step)
        x, y = _free_spot(points)
        yield (
            f'<g class="edge taken correction" data-trigger="{rule.trigger}" data-from="{step[0]}" data-to="{step[1]}">'
            f"<title>{step[0]} → {step[1]}: {rule.trigger}</title>"
            f'<path class="way" d="{path(points)}"/>{arrowhead("point", points, 15)}'
            f'<g class="label">{text("trigger", rule.trigger, x, y, "middle")}</g>'
            f"{_badge(points, steps)}</g>"
        )


def _free_spot(points: Sequence[Point]) -> Point:
    """A place for a word on a dashed line, near its middle, where it covers neither a state nor a label."""
    labels = (route.label.box(row) for row in ARROWS if (route := route_of(row)).label)
    taken = (*PLACES.values(), *labels)
    length = dist(points[0], points[1])
    spots = [towards(points[0], points[1], length * share / 20) for share in _MIDDLE_FIRST]
    free = (spot for spot in spots if not any(Box(*spot, 60, 18).overlaps(box) for box in taken))
    x, y = next(free, spots[0])
    return x, y + 5


# ── states ─────────────────────────────────────────────────────────────────────────────────────────────────


def _state(state: State, current: State | None, taken: Sequence[Step]) -> str:
    css = ["state", "start" if state is State.NONE else standing(state).css]
    css += ["visited"] if any(state in step for step in taken) else []
    css += ["current"] if state is current else []
    box = PLACES[state]
    return (
        f'<g class="{" ".join(css)}" id="state-{state}" data-state="{state}">'
        f"<title>{state}: {standing(state)}</title>"
        f"{rect('halo', box, -6, 15)}{rect('body', box, 0, 14 if state is State.NONE else 10)}"
        f"{rect('inner', box, 4, 7) if state in ENDED else ''}{_names(state, box)}{_now(box)}</g>"
    )


def _names(state: State, box: Box) -> str:
    if state is State.NONE:
        x, y = START_LABEL
        return text("name", state, x, y) + text("standing", "no subscription", x, y + 17)
    return text("name", state, box.x, box.y - 2, "middle") + text(
        "standing", standing(state), box.x, box.y + 15, "middle"
    )


def _now(box: Box) -> str:
    """The flag that the class `current` shows: a word, so that nobody has to tell colours apart.

    At the upper right corner, where no track meets a state.
    """
    x, y = box.x + box.width / 2, box.y - box.height / 2 - 6
    return (
        f'<g class="now"><rect x="{x - 22:g}" y="{y - 10:g}" width="44" height="20" rx="10"/>'
        f'<text x="{x:g}" y="{y + 4.3:g}">NOW</text></g>'
    )


# ── around ─────────────────────────────────────────────────────────────────────────────────────────────────


def _frame() -> str:
    x, y = FRAME.x - FRAME.width / 2, FRAME.y - FRAME.height / 2
    return (
        f'<rect class="frame" x="{x:g}" y="{y:g}" width="{FRAME.width:g}" height="{FRAME.height:g}" rx="16"/>'
        + text("caption", _REMARK, EXIT.x - 16, y + FRAME.height - 14, "end")
    )


_REMARK: Final = "living: the arrow from the frame itself starts in every state inside"
