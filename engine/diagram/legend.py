"""What stands under the picture: the rules that hold for many states at once, and what the colours mean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from interlock.engine.diagram.ink import rect, text
from interlock.engine.diagram.layout import FRAME, GUARD_SIZE, TRIGGER_SIZE, Box, text_width
from interlock.engine.diagram.reading import RULES, Rule, Standing, guard_names


def legend() -> Iterator[str]:
    """Draw rules and keys below the frame."""
    x, y = _LEFT, FRAME.bottom().y + 44
    for rule in RULES:
        yield _rule(rule, x, y)
        x += max(_rule_widths(rule)) + 52
    x, y = _LEFT, y + 46
    for kind, words in _KEYS.items():
        swatch = Box(x + 13, y, 26, 18)
        inner = rect("inner", swatch, 3, 3) if kind is Standing.ENDED else ""
        key = rect("body", swatch, 0, 5) + inner + text("caption", words, x + 34, y + 4.5)
        yield f'<g class="key {kind.css}">{key}</g>'
        x += 34 + text_width(words, GUARD_SIZE) + 36


_LEFT: Final = 32
_KEYS: Final = {
    Standing.GRANTED: "access",
    Standing.GRACE: "access for now: the grace days of plans.toml",
    Standing.REFUSED: "no access",
    Standing.ENDED: "ended for good, no way out",
}


def _rule(rule: Rule, x: float, y: float) -> str:
    """A rule in two lines; `data-from` names every state it holds for."""
    guards = text("guard", _asked(rule), x + text_width(rule.trigger, TRIGGER_SIZE, bold=True) + 10, y)
    sources = " ".join(rule.sources)
    return (
        f'<g class="rule" data-trigger="{rule.trigger}" data-from="{sources}" data-to="{rule.destination}">'
        f"{text('trigger', rule.trigger, x, y)}{guards if rule.guards else ''}"
        f"{text('caption', _reach(rule), x, y + 17)}</g>"
    )


def _rule_widths(rule: Rule) -> tuple[float, float]:
    first = text_width(rule.trigger, TRIGGER_SIZE, bold=True) + 10 + text_width(_asked(rule), GUARD_SIZE)
    return first, text_width(_reach(rule), GUARD_SIZE)


def _asked(rule: Rule) -> str:
    return " · ".join(guard_names(rule.guards))


def _reach(rule: Rule) -> str:
    return f"{rule.scope} → {rule.destination}"
