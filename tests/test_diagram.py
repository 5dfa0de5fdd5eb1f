"""The pictures are the table: all of it, nothing else, and readable."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from html.parser import HTMLParser
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from interlock.engine import diagram
from interlock.engine.core import guards
from interlock.engine.core.access import access
from interlock.engine.core.catalogue import AccessPolicy
from interlock.engine.core.states import ENDED, LIVING, Facts, State, Subscription
from interlock.engine.core.table import TRANSITIONS
from interlock.engine.diagram.layout import (
    EXIT,
    FRAME,
    HEIGHT,
    PLACES,
    ROUTES,
    START_LABEL,
    WIDTH,
    Box,
    route_of,
    text_width,
)
from interlock.engine.diagram.reading import ARROWS, FROM_THE_FRAME, RULES, Standing, standing

COMMITTED = Path(__file__).parents[1] / "diagrams"
SVG = "{http://www.w3.org/2000/svg}"

Row = tuple[str, str, str]
TABLE: Counter[Row] = Counter((row.trigger, row.source, row.destination or "*") for row in TRANSITIONS)
DIRECT: Counter[Row] = Counter((row.trigger, row.source, row.destination or "*") for row in ARROWS)


def drawn(*, current: State | None = None, taken: Sequence[tuple[State, State]] = ()) -> ElementTree.Element:
    return ElementTree.fromstring(diagram.svg(current=current, taken=taken))


def groups(root: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    return [g for g in root.iter(f"{SVG}g") if kind in g.get("class", "").split()]


def row_of(group: ElementTree.Element) -> Row:
    return group.get("data-trigger", ""), group.get("data-from", ""), group.get("data-to", "")


def test_the_table_is_arrows_and_rules() -> None:
    """Every row is read as one arrow or as part of one rule; none is lost between them, none is both."""
    told: Counter[Row] = Counter()
    for rule in RULES:
        for source in rule.sources:
            ends = {"itself": source, "what Stripe answered": "*"}
            told[rule.trigger, source, ends.get(rule.destination, rule.destination)] += 1
    assert DIRECT + told == TABLE


def test_svg_draws_every_row_and_nothing_else() -> None:
    """One group for each arrow, one for each rule with all its sources, one for each state."""
    root = drawn()
    assert Counter(map(row_of, groups(root, "edge"))) == DIRECT
    told = {(g.get("data-trigger"), *g.get("data-from", "").split()) for g in groups(root, "rule")}
    assert told == {(rule.trigger, *rule.sources) for rule in RULES}
    assert [g.get("data-state") for g in groups(root, "state")] == list(State)
    rails = [path for path in root.iter(f"{SVG}path") if path.get("class") == "rail"]
    assert len(rails) == len(ARROWS) - len(FROM_THE_FRAME) + len({row.destination for row in FROM_THE_FRAME})


def test_svg_names_every_trigger_with_its_guards() -> None:
    """Where a label stands, it is the row's trigger and its guards; an arrow without one shares its track's."""
    by_row = {row_of(g): g for g in groups(drawn(), "edge")}
    for row in ARROWS:
        label = next(g for g in by_row[row.trigger, row.source, row.destination or ""] if "label" in g.get("class", ""))
        words = " ".join("".join(text.itertext()) for text in label)
        assert words.replace(" ·", "").split() == [row.trigger, *(guard.__name__ for guard in row.guards)]


def test_svg_ids_are_unique_and_stable() -> None:
    """Pages reach states and edges by id, so each id is there once and made of the table's own names."""
    root = drawn()
    ids = Counter(element.get("id") for element in root.iter() if element.get("id"))
    expected = {f"state-{state}" for state in State} | {f"edge-{row.trigger}-{row.source}" for row in ARROWS}
    assert ids == Counter(expected)


def test_svg_stands_alone() -> None:
    """No script, no reference to anything outside, and a name for those who can't see it."""
    text = diagram.svg()
    assert "<script" not in text
    assert "href" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert text.count("http") == 1, "the namespace and no other address"
    root = drawn()
    assert root.get("role") == "img"
    assert "state machine" in root.get("aria-label", "")
    assert "prefers-color-scheme: dark" in text


def test_ended_states_are_doubled_and_states_say_their_access() -> None:
    """What a state means for access is a word and a class; an ended one has a second border."""
    for group in groups(drawn(), "state"):
        state = State(group.get("data-state", ""))
        doubled = any(rect.get("class") == "inner" for rect in group)
        assert doubled is (state in ENDED)
        if state is not State.NONE:
            assert standing(state).css in group.get("class", "").split()
            assert standing(state) in "".join(group.itertext())


@pytest.mark.parametrize("state", [state for state in State if state is not State.NONE])
def test_colour_is_what_the_policy_says(state: State) -> None:
    """The picture's colour agrees with access.py: granted, granted within grace only, or not granted."""
    facts = Facts(subscription_id="sub_1", customer_id="cus_1", status=state)
    known = Subscription(subscription_id="sub_1", facts=facts, since=1_000)
    policy = AccessPolicy(past_due_grace_days=1)
    now, later = (access(known, policy, at).granted for at in (1_001, 1_000 + 86_401))
    expected = {(True, True): {Standing.GRANTED}, (True, False): {Standing.GRACE}}
    assert standing(state) in expected.get((now, later), {Standing.REFUSED, Standing.ENDED})


def test_current_state_is_marked_once() -> None:
    """The state asked for, and no other, is `current`, and the label for screen readers says it."""
    for state in State:
        root = drawn(current=state)
        assert [g.get("data-state") for g in groups(root, "current")] == [state]
        assert f"current state: {state}" in root.get("aria-label", "")
    assert groups(drawn(), "current") == []


def test_way_taken_is_marked_and_numbered() -> None:
    """Steps are lit in the table's arrows with their numbers; the states on the way are `visited`."""
    active, past_due = State.ACTIVE, State.PAST_DUE
    root = drawn(
        taken=[(State.NONE, active), (active, active), (active, past_due), (past_due, active), (active, past_due)]
    )
    lit = {row_of(g): "".join(groups(g, "step")[0].itertext()) for g in groups(root, "taken")}
    assert lit == {
        ("activate", "none", "active"): "1",
        ("fail_payment", "active", "past_due"): "2, 4",
        ("recover", "past_due", "active"): "3",
    }
    assert {g.get("data-state") for g in groups(root, "visited")} == {"none", "active", "past_due"}


def test_long_way_shows_its_last_steps() -> None:
    """However long the way was, a badge stays small."""
    back_and_forth = [(State.ACTIVE, State.PAST_DUE), (State.PAST_DUE, State.ACTIVE)] * 100
    badges = ["".join(g.itertext()) for g in groups(drawn(taken=back_and_forth), "step")]
    assert sorted(badges) == ["…195, 197, 199", "…196, 198, 200"]


def test_step_that_only_an_answer_makes_is_dashed() -> None:
    """`correct` and `adopt` have no arrow; when one was taken it is drawn, and named."""
    root = drawn(taken=[(State.NONE, State.UNPAID), (State.UNPAID, State.TRIALING)])
    corrections = groups(root, "correction")
    assert [row_of(g) for g in corrections] == [("adopt", "none", "unpaid"), ("correct", "unpaid", "trialing")]


def test_step_the_table_does_not_know_is_not_drawn() -> None:
    """Nothing leads out of an ended state, and no picture says otherwise."""
    assert groups(drawn(taken=[(State.CANCELED, State.ACTIVE)]), "taken") == []


def test_every_arrow_has_its_route_and_no_route_is_left_over() -> None:
    """A new row asks for its place in the picture; a removed one for its route to be removed."""
    assert set(ROUTES) == {(row.trigger, row.source) for row in ARROWS}


def test_routes_lead_from_border_to_border() -> None:
    """Each track begins on its source's border and ends on its destination's, level or upright all the way."""
    for row in ARROWS:
        assert row.destination is not None
        points = route_of(row).points
        assert on_border(points[0], PLACES[row.source]), row
        assert on_border(points[-1], PLACES[row.destination]), row
        assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(points)), row


def on_border(point: tuple[float, float], box: Box) -> bool:
    dx, dy = abs(point[0] - box.x) - box.width / 2, abs(point[1] - box.y) - box.height / 2
    return max(dx, dy) == 0


def label_boxes() -> dict[str, Box]:
    found = {f"{r.trigger} from {r.source}": label.box(r) for r in ARROWS if (label := route_of(r).label)}
    x, y = START_LABEL
    width = text_width("no subscription", 12)
    return {**found, "none": Box(x + width / 2, y + 3, width, 32)}


def test_no_label_touches_another_or_a_state() -> None:
    """Every label can be read: the boxes that the text is set to (`textLength`) keep clear of each other."""
    named = {**label_boxes(), **{state.value: box for state, box in PLACES.items() if state is not State.NONE}}
    touching = [(a, b) for a, b in combinations(named, 2) if named[a].overlaps(named[b], gap=1)]
    assert touching == []
    for name, box in named.items():
        assert abs(box.x - WIDTH / 2) + box.width / 2 < WIDTH / 2, name
        assert abs(box.y - HEIGHT / 2) + box.height / 2 < HEIGHT / 2, name


def test_no_rail_runs_through_a_label_or_a_state() -> None:
    """A track meets no label, and of the states only the two that it joins."""
    for row in ARROWS:
        points = ((EXIT.x, EXIT.y), route_of(row).points[-1]) if row in FROM_THE_FRAME else route_of(row).points
        segments = [as_box(a, b) for a, b in pairwise(points)]
        hit = [name for name, box in label_boxes().items() if any(box.overlaps(part) for part in segments)]
        assert hit == [], row.trigger
        others = [PLACES[state] for state in State if state not in (row.source, row.destination)]
        assert not any(box.overlaps(part, gap=4) for box in others for part in segments), row


def as_box(a: tuple[float, float], b: tuple[float, float]) -> Box:
    return Box((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, abs(a[0] - b[0]) + 2, abs(a[1] - b[1]) + 2)


def test_frame_holds_the_living_and_only_them() -> None:
    """The frame's arrow starts in every state inside, so exactly the living ones stand inside."""
    inside = {state for state, box in PLACES.items() if box.overlaps(FRAME)}
    assert inside == LIVING
    assert {row.source for row in FROM_THE_FRAME} == LIVING


def test_dot_draws_every_row() -> None:
    """DOT has an edge for each arrow with its guards, and each rule in its label."""
    text = diagram.dot()
    found = re.findall(r"^  (\w+) -> (\w+) \[label=<<b>(\w+)</b>(.*)>\];$", text, re.MULTILINE)
    assert Counter((trigger, source, to) for source, to, trigger, _ in found) == DIRECT
    asked = {(trigger, source): re.findall(r">(\w+)</font>", rest) for source, _, trigger, rest in found}
    assert asked == {(row.trigger, row.source): [guard.__name__ for guard in row.guards] for row in ARROWS}
    assert text.count(" -> ") == len(ARROWS)
    assert all(f"{rule.trigger}: {rule.scope}" in text for rule in RULES)


def test_graphviz_reads_the_dot() -> None:
    """The DOT is DOT: a Graphviz draws it."""
    program = shutil.which("graphviz-pure", path=str(Path(sys.executable).parent))
    assert program is not None, "graphviz-pure comes with the dev extra"
    done = subprocess.run([program, "-Kdot", "-Tsvg"], input=diagram.dot().encode(), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    root = ElementTree.fromstring(done.stdout)
    assert len(groups(root, "edge")) == len(ARROWS)


def test_mermaid_draws_every_row() -> None:
    """Mermaid has a line for each arrow; the one from `living` stands for every living state."""
    found: Counter[Row] = Counter()
    for source, to, trigger in re.findall(r"^\s+(\S+) --> (\w+) : (\w+)", diagram.mermaid(), re.MULTILINE):
        starts = LIVING if source == "living" else {"none" if source == "[*]" else source}
        found.update((trigger, str(start), to) for start in starts)
    assert found == DIRECT
    assert all(f"%% {rule.trigger}" in diagram.mermaid() for rule in RULES)
    ends = re.findall(r"^\s+(\w+) --> \[\*\]$", diagram.mermaid(), re.MULTILINE)
    assert set(ends) == ENDED


def test_mermaid_is_mermaid() -> None:
    """Nothing but the few line forms of a state diagram, and the braces match."""
    forms = (
        r"stateDiagram-v2",
        r"direction LR",
        r"state \w+ \{",
        r"\}",
        r"(\w+|\[\*\]) --> (\w+|\[\*\])( : \w+( \[\w+(, \w+)*\])?)?",
        r"%% [^%;]+",
        r"classDef \w+ fill:#\w{6},stroke:#\w{6},color:#\w{6}",
        r"class \w+(,\w+)* \w+",
    )
    for line in diagram.mermaid().splitlines():
        assert any(re.fullmatch(form, line.strip()) for form in forms), line
    assert diagram.mermaid().count("{") == diagram.mermaid().count("}")


def test_markdown_has_every_row() -> None:
    """The table for the README says every row; lines that differ in their source only are one."""
    found: Counter[Row] = Counter()
    for line in diagram.markdown().splitlines()[2:]:
        trigger, sources, to, *_ = (
            cell.strip().replace("`", "").replace("*", "") for cell in line.strip("|").split("|")
        )
        for source in LIVING if sources == "every living state" else sources.split(", "):
            found[trigger, str(source), {"itself": str(source), "what Stripe answered": "*"}.get(to, to)] += 1
    assert found == TABLE


class Outline(HTMLParser):
    """Collects what the page's test asks about, and whether each tag is closed."""

    VOID = frozenset({"meta", "br", "wbr", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.links += [value for name, value in attrs if name in ("href", "src") and value]
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs), attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline() -> Outline:
    parsed = Outline()
    parsed.feed(diagram.page())
    assert parsed.open == []
    return parsed


def test_page_has_every_row_state_and_guard() -> None:
    """A row for each arrow, rule, state and guard; each link within the page leads somewhere."""
    parsed, text = outline(), diagram.page()
    rows = {f"row-{row.trigger}-{row.source}" for row in ARROWS} | {f"row-state-{state}" for state in State}
    names = {f"guard-{name}" for name in vars(guards) if f"def {name}(" in Path(guards.__file__).read_text("utf-8")}
    assert names
    assert rows | names <= set(parsed.ids)
    assert max(Counter(parsed.ids).values()) == 1
    assert all(f'<th scope="row">{rule.trigger}</th>' in text for rule in RULES)
    plain = text.replace("<wbr>", "")
    assert all(f"<code>{event}</code>" in plain for row in TRANSITIONS for event in row.events)
    assert {link[1:] for link in parsed.links if link.startswith("#")} <= set(parsed.ids)


def test_page_needs_nothing_else() -> None:
    """No script and nothing fetched, its icon least; the links to the files are relative, for any mount prefix."""
    parsed = outline()
    assert not parsed.tags & {"script", "img", "iframe", "object"}
    icon, *files = [link for link in parsed.links if not link.startswith("#")]
    assert icon == diagram.ICON
    assert icon.startswith("data:image/svg+xml,")
    assert files == [f"diagrams/subscription.{ending}" for ending in ("svg", "mmd", "dot")]
    assert diagram.page().count("<link") == 1


def test_row_of_the_page_lights_its_arrow() -> None:
    """Pointing at a row, or reaching it with the keyboard, lights its arrow, by style alone."""
    text = diagram.page()
    for row in ARROWS:
        name = f"{row.trigger}-{row.source}"
        assert f"body:has(#row-{name}:is(:hover, :focus-within)) #edge-{name}" in text


def test_drawing_twice_is_the_same() -> None:
    """No clock, no chance, no order of a set in it: the same table is the same bytes."""
    program = (
        "from interlock.engine import diagram as d; "
        "print(d.svg() + d.dot() + d.mermaid() + d.markdown() + d.page(), end='')"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            cwd=COMMITTED.parent,
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]


def test_committed_files_are_what_the_table_draws() -> None:
    """diagrams/ is never kept by hand.  If this fails: interlock diagram --out diagrams"""
    assert diagram.check(COMMITTED) == []


def test_check_finds_an_edit_by_hand(tmp_path: Path) -> None:
    """A changed byte or a missing file is named; drawing anew mends it."""
    directory = tmp_path / "new" / "diagrams"
    diagram.write(directory)
    assert diagram.check(directory) == []
    for name in ("README.md", "subscription.dot", "subscription.mmd", "subscription.svg"):
        file = directory / name
        file.write_bytes(file.read_bytes().replace(b"recover", b"revive", 1))
        assert diagram.check(directory) == [name]
        file.unlink()
        assert diagram.check(directory) == [name]
        diagram.write(directory)
    assert diagram.check(directory) == []


def test_row_without_a_route_is_still_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture never hides a row: without a place of its own it runs straight across, with its label."""
    monkeypatch.delitem(ROUTES, ("resume", State.PAUSED))
    row = next(row for row in ARROWS if row.trigger == "resume")
    route = route_of(row)
    assert len(route.points) == 2
    assert route.label is not None
    assert ("resume", "paused", "active") in map(row_of, groups(drawn(), "edge"))
