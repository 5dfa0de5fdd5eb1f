"""The demo page has words for everything that the service can answer: a new state or reason can't be forgotten."""

from __future__ import annotations

import re

import pytest

from interlock.engine.core.access import Reason
from interlock.engine.core.states import State
from tests.kit.settings import ROOT


@pytest.mark.parametrize(("name", "said"), [("STATES", State), ("REASONS", Reason)])
def test_each_has_its_words(name: str, said: type[State] | type[Reason]) -> None:
    """Each state and each reason of access has words of its own, and nothing else has."""
    text = (ROOT / "api" / "demo" / "page" / "words.js").read_text("utf-8")
    table = text.partition(f"export const {name} = {{")[2].partition("};")[0]
    words = dict(re.findall(r'^  (\w+): "([^"]+)",$', table, re.MULTILINE))
    assert words.keys() == {each.value for each in said}
    assert len(set(words.values())) == len(words)
