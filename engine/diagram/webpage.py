"""The page for developers: the picture, then every state, trigger and guard in words.  No script.

A row under the pointer, or with the keyboard's focus in it, lights its arrow: one generated style rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from string import Template
from typing import Final
from urllib.parse import quote

from interlock.engine.core.states import LIVING, State
from interlock.engine.core.table import TRANSITIONS, Transition
from interlock.engine.diagram.drawing import svg
from interlock.engine.diagram.reading import (
    ALL_LIVING,
    ANYWHERE,
    ARROWS,
    ITSELF,
    MEANING,
    RULES,
    all_guards,
    guard_names,
    standing,
)

_SIGNAL: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect x="9" y="2" width="14" height="28" rx="7"'
    ' fill="#14201b" stroke="#7d8a84"/><circle cx="16" cy="9" r="4" fill="#4a5751"/>'
    '<circle cx="16" cy="16" r="4" fill="#4a5751"/><circle cx="16" cy="23" r="4" fill="#2fd69a"/></svg>'
)
ICON: Final = f"data:image/svg+xml,{quote(_SIGNAL, safe='')}"
"""A page's icon within the page; a browser would else ask the service for a file that it has not."""


def page() -> str:
    """Return the HTML of GET /diagrams; its links are relative, so that it works under any prefix."""
    template = Template(Path(__file__).with_name("webpage.html").read_text("utf-8"))
    return template.substitute(
        icon=ICON,
        svg=svg(),
        highlights=_highlights(),
        counts=f"{len(State)} states, {len(ARROWS)} arrows and {len(RULES)} rules",
        states="\n".join(_state_row(state) for state in State),
        triggers="\n".join(_trigger_rows()),
        guards="\n".join(_guard_row(name, text) for name, text in all_guards()),
    )


def _highlights() -> str:
    arrows = ", ".join(_when_pointed_at(f"{row.trigger}-{row.source}", "edge") for row in ARROWS)
    states = ", ".join(_when_pointed_at(state, "state") for state in State)
    return f"{arrows} {{ --way: var(--lit); --gauge: 4.5; --shown: visible; }}\n{states} {{ --ring: var(--lit); }}"


def _when_pointed_at(name: str, kind: str) -> str:
    row = f"row-{name}" if kind == "edge" else f"row-state-{name}"
    return f"body:has(#{row}:is(:hover, :focus-within)) #{kind}-{name}"


def _state_row(state: State) -> str:
    css = "start" if state is State.NONE else standing(state).css
    pill = f'<span class="pill {css}">{standing(state)}</span>'
    return (
        f'<tr id="row-state-{state}"><th scope="row"><a href="#state-{state}"><code>{state}</code></a></th>'
        f"{_cell('Access', pill)}"
        f"{_cell('Meaning', escape(MEANING[state]))}</tr>"
    )


def _trigger_rows() -> Iterator[str]:
    """One row for each arrow, one for each rule."""
    said: set[str] = set()
    for row in TRANSITIONS:
        if row in ARROWS:
            name = f"{row.trigger}-{row.source}"
            head = f'<a href="#edge-{name}">{row.trigger}</a>'
            yield _trigger_row(row, f' id="row-{name}"', head, _code(row.source), _code(str(row.destination)))
        elif row.trigger not in said:
            said.add(row.trigger)
            sources = frozenset(other.source for other in TRANSITIONS if other.trigger == row.trigger)
            scope = ALL_LIVING if sources == LIVING else _codes(sorted(sources))
            yield _trigger_row(row, "", row.trigger, scope, ANYWHERE if row.destination is None else ITSELF)


def _trigger_row(row: Transition, identity: str, head: str, source: str, destination: str) -> str:
    way = f'{source}<span class="to"> → </span>{destination}'
    return (
        f'<tr{identity}><th scope="row">{head}</th>'
        f"{_cell('From → to', way)}"
        f"{_cell('Guards', _guard_links(row))}"
        f"{_cell('Announced by', _codes(row.events))}"
        f"{_cell('Why', escape(row.why))}</tr>"
    )


def _cell(head: str, content: str) -> str:
    """One cell; on a phone its column's head stands beside it."""
    return f'<td data-head="{head}"><div>{content}</div></td>'


def _guard_links(row: Transition) -> str:
    links = (f'<a href="#guard-{name}">{_code(name)}</a>' for name in guard_names(row.guards))
    return "<br>".join(links) or "–"


def _guard_row(name: str, text: str) -> str:
    named_by = sorted({row.trigger for row in TRANSITIONS if name in guard_names(row.guards)})
    used = ", ".join(named_by) or "all of them: asked before the table is looked at"
    words = "".join(f"<p>{escape(' '.join(part.split()))}</p>" for part in text.split("\n\n"))
    return (
        f'<tr id="guard-{name}"><th scope="row">{_code(name)}</th>'
        f"{_cell('Agrees when', words)}{_cell('Stands before', used)}</tr>"
    )


def _codes(names: Iterable[str]) -> str:
    return "<br>".join(_code(name) for name in names) or "–"


def _code(name: str) -> str:
    """A name that may break after its dots and underscores, so that narrow columns hold it."""
    return f"<code>{escape(name).replace('.', '.<wbr>').replace('_', '_<wbr>')}</code>"
