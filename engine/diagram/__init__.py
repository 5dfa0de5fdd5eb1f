"""The machine as pictures: DOT, Mermaid, SVG, Markdown and a page, all drawn from the table that runs.

Nothing here is kept by hand but where things stand (`layout`).  The files in `diagrams/` are what
`write` makes of the table; `check` names those that are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Final

from interlock.engine.core.states import ENDED, LIVING, State
from interlock.engine.core.table import TRANSITIONS, Transition
from interlock.engine.diagram.drawing import svg
from interlock.engine.diagram.reading import (
    ALL_LIVING,
    ANYWHERE,
    ARROWS,
    FROM_THE_FRAME,
    ITSELF,
    MEANING,
    RULES,
    Standing,
    all_guards,
    guard_names,
    standing,
)
from interlock.engine.diagram.webpage import ICON, page

__all__ = ["ICON", "check", "dot", "markdown", "mermaid", "page", "svg", "write"]

_FILL: Final = {
    Standing.GRANTED: ("#dafbe1", "#1a7f37"),
    Standing.GRACE: ("#fff3b0", "#9a6700"),
    Standing.REFUSED: ("#ffe3e0", "#cf222e"),
    Standing.ENDED: ("#e4e9ee", "#57606a"),
}


def dot() -> str:
    """Draw the table as a Graphviz graph: every arrow an edge, the rules in the graph's own label."""
    rules = "\\l".join(f"{name}: {scope} → {to}{asked}" for name, scope, to, asked in _rules())
    return "\n".join(
        (
            "digraph subscription {",
            '  graph [rankdir=LR, fontname="Helvetica", nodesep=0.5, ranksep=1.1, labelloc=b, labeljust=l,',
            f'         label="{rules}\\l"];',
            '  node [shape=box, style="rounded,filled", fontname="Helvetica", fontcolor="#1f2328", penwidth=1.5];',
            '  edge [fontname="Helvetica", fontsize=12, color="#6e7781", fontcolor="#1f2328"];',
            "",
            '  none [shape=circle, fillcolor="#ffffff"];',
            "  subgraph cluster_living {",
            '    graph [label="living", style="rounded,dashed", color="#6e7781", labeljust=l];',
            *(f"    {_dot_state(state)}" for state in State if state in LIVING),
            "  }",
            *(f"  {_dot_state(state)}" for state in State if state in ENDED),
            "",
            *(f"  {row.source} -> {row.destination} [label={_dot_label(row)}];" for row in ARROWS),
            "}\n",
        )
    )


def _dot_state(state: State) -> str:
    fill, line = _FILL[standing(state)]
    doubled = ", peripheries=2" if state in ENDED else ""
    return f'{state} [fillcolor="{fill}", color="{line}", tooltip="{standing(state)}"{doubled}];'


def _dot_label(row: Transition) -> str:
    guards = "".join(f'<br/><font point-size="10">{escape(name)}</font>' for name in guard_names(row.guards))
    return f"<<b>{escape(row.trigger)}</b>{guards}>"


def mermaid() -> str:
    """Draw the table as a Mermaid state diagram; what all living states have alike leaves their frame."""
    alike = {f"  living --> {row.destination} : {_with_guards(row)}": None for row in ARROWS if row in FROM_THE_FRAME}
    apart = [row for row in ARROWS if row not in FROM_THE_FRAME]
    within = [row for row in apart if {row.source, row.destination} <= LIVING]
    return "\n".join(
        (
            "stateDiagram-v2",
            "  direction LR",
            "  state living {",
            "    direction LR",
            *(f"    {_mermaid_arrow(row)}" for row in within),
            "  }",
            *(f"  {_mermaid_arrow(row)}" for row in apart if row not in within),
            *alike,
            *(f"  {state} --> [*]" for state in State if state in ENDED),
            *(f"  %% {name}{asked} · {scope} → {to}" for name, scope, to, asked in _rules()),
            *_mermaid_colours(),
            "",
        )
    )


def _mermaid_arrow(row: Transition) -> str:
    source = "[*]" if row.source is State.NONE else row.source
    return f"{source} --> {row.destination} : {_with_guards(row)}"


def _mermaid_colours() -> Iterator[str]:
    for kind, (fill, line) in _FILL.items():
        states = ",".join(state for state in State if state is not State.NONE and standing(state) is kind)
        yield f"  classDef {kind.css} fill:{fill},stroke:{line},color:#1f2328"
        yield f"  class {states} {kind.css}"


def _with_guards(row: Transition) -> str:
    return row.trigger + _asked(guard_names(row.guards))


def _asked(names: Iterable[str]) -> str:
    together = ", ".join(names)
    return f" [{together}]" if together else ""


def _rules() -> Iterator[tuple[str, str, str, str]]:
    for rule in RULES:
        yield rule.trigger, rule.scope, rule.destination, _asked(guard_names(rule.guards))


def markdown() -> str:
    """Write the table as a Markdown table; rows that differ in nothing but their source are one line."""
    grouped: dict[tuple[str, str, str, str, str], list[State]] = {}
    for row in TRANSITIONS:
        to = (
            ANYWHERE if row.destination is None else ITSELF if row.destination is row.source else f"`{row.destination}`"
        )
        key = (row.trigger, to, _codes(guard_names(row.guards)), _codes(row.events), row.why)
        grouped.setdefault(key, []).append(row.source)
    lines = (
        f"| **{trigger}** | {_sources(sources)} | {to} | {guards} | {events} | {why} |"
        for (trigger, to, guards, events, why), sources in grouped.items()
    )
    head = "| Trigger | From | To | Guards | Stripe's events that announce it | Why |\n|---|---|---|---|---|---|"
    return "\n".join((head, *lines, ""))


def _sources(sources: list[State]) -> str:
    return ALL_LIVING if frozenset(sources) == LIVING else _codes(sources)


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "–"


def _readme() -> str:
    states = "\n".join(f"| `{state}` | {standing(state)} | {meaning} |" for state, meaning in MEANING.items())
    guards = "\n".join(f"| `{name}` | {' '.join(text.split())} |" for name, text in all_guards())
    return _README.format(states=states, transitions=markdown(), guards=guards)


_README: Final = """\
# The subscription machine

<!-- Generated from engine/core/table.py by `interlock diagram --out diagrams`; `--check` finds an edit by hand. -->

[![The subscription state machine](subscription.svg)](subscription.svg)

An arrow is a trigger in bold, with its guards beneath: it fires only if each of them agrees. Arrows of one trigger
join like tracks. The arrow that leaves the dashed frame starts in every state inside it. A double border: nothing
leads out. The triggers under the picture are said in words: as arrows they would be dozens.

The same machine as [SVG](subscription.svg), [Mermaid](subscription.mmd) and [DOT](subscription.dot). A running
service draws it at `GET /diagrams`, and for one user, with the current state and the way taken, at
`GET /subscription/diagram`.

## States

| State | Access | |
|---|---|---|
{states}

## Transitions

{transitions}
## Guards

| Guard | Agrees when |
|---|---|
{guards}

Draw again with `interlock diagram --out diagrams`; `interlock diagram --check` fails where these files are not what
the table draws.
"""

_FILES: Final[dict[str, Callable[[], str]]] = {
    "README.md": _readme,
    "subscription.dot": dot,
    "subscription.mmd": mermaid,
    "subscription.svg": svg,
}


def write(directory: Path) -> None:
    """Draw every file into the directory, making it if need be."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, draw in _FILES.items():
        (directory / name).write_text(draw(), "utf-8", newline="\n")


def check(directory: Path) -> list[str]:
    """Name the files that are missing, or whose content is not what the table draws."""
    return [name for name, draw in _FILES.items() if not _holds(directory / name, draw())]


def _holds(path: Path, content: str) -> bool:
    try:
        return path.read_bytes() == content.encode()
    except OSError:
        return False
