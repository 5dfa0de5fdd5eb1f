"""Units of work side by side do what they would do one after another, and the database is asked once for all."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from interlock.engine.errors import BadEvent
from interlock.engine.store import Row, Work
from interlock.engine.store.lockstep import REFERRED_TO, Answers, NotTogether, Round, lockstep
from interlock.engine.store.statements import Query, Statement, read_statements
from tests.reliability.lite import connect, table

S = read_statements("""
-- name: get^
-- One thing.
-- about: thing :id
-- reads: things
SELECT value FROM things WHERE id = :id /*lock*/

-- name: put!
-- Write one thing.
-- about: thing :id
-- writes: things, one row
INSERT INTO things (id, value) VALUES (:id, :value)

-- name: note!
-- Add a note, which is no thing's.
-- writes: event, one row
INSERT INTO event (text) VALUES (:text)

-- name: decide!
-- Add a decision, which refers to a note.
-- writes: decision, one row
INSERT INTO decision (text) VALUES (:text)

-- name: decisions
-- All decisions about a thing.
-- about: thing :id
-- reads: decision
SELECT text FROM decision WHERE id = :id

-- name: any
-- Some thing.
-- reads: things
SELECT value FROM things LIMIT 1
""")
Spoken = list[tuple[str, list[tuple[Any, ...]]]]


def get(thing: str | None) -> Query:
    return S["get"](id=thing)


def put(thing: str, value: str = "x") -> Query:
    return S["put"](id=thing, value=value)


def unit(*queries: Query, ends_with: Any = None) -> Work[Any]:
    """A unit that asks these queries, one after another."""
    for query in queries:
        assert (yield query) is not None
    return ends_with


def spoken(groups: Sequence[tuple[Statement, list[tuple[Any, ...]]]]) -> Spoken:
    return [(statement.name, many) for statement, many in groups]


def run(*units: Work[Any], about: Sequence[tuple[str, ...]] = (), holding: bool = True) -> tuple[list[Any], list[Any]]:
    """Drive them, every answer empty; returns their results, and each round's `told` and `asked`."""
    steps: Generator[Round, Answers, list[Any]] = lockstep(units, about or [()] * len(units), holding=holding)
    rounds: list[tuple[Spoken, Spoken]] = []
    try:
        asked = next(steps)
        while True:
            rounds.append((spoken(asked.told), spoken(asked.asked)))
            asked = steps.send([[[] for _ in many] for _, many in asked.asked])
    except StopIteration as end:
        return end.value, rounds


def test_what_many_ask_is_one_round_in_the_order_of_its_keys() -> None:
    """A statement is executed once for all who ask it; its rows are locked in one order, whoever came first."""
    results, rounds = run(unit(get("b"), ends_with=1), unit(get("a"), ends_with=2), unit(get("c"), ends_with=3))
    assert rounds == [([], [("get", [("a",), ("b",), ("c",)])])]
    assert results == [1, 2, 3]


def test_each_unit_is_dealt_its_own_rows() -> None:
    """However the arguments were sorted, the rows go to whoever asked for them."""

    def reads(thing: str) -> Work[list[Row]]:
        return (yield get(thing))

    steps = lockstep([reads("b"), reads("a")], [(), ()])
    (asked,) = [asked for _, asked in next(steps).asked]
    with pytest.raises(StopIteration) as end:
        steps.send([[[(arguments[0] * 2,)] for arguments in asked]])
    assert end.value.value == [[("bb",)], [("aa",)]]


def test_writes_wait_for_a_reader_of_their_table_or_for_the_end() -> None:
    """A write that returns nothing costs no round of its own, and whoever reads its table finds it there."""
    decisions = S["decisions"](id="a")
    _, rounds = run(unit(put("a"), decisions, get("a")), unit(put("b")))
    assert rounds == [
        ([], [("decisions", [("a",)])]),
        ([("put", [("a", "x"), ("b", "x")])], [("get", [("a",)])]),
    ]
    _, rounds = run(unit(put("a")), unit(put("b")))
    assert rounds == [([("put", [("a", "x"), ("b", "x")])], [])]


def test_a_row_that_is_written_twice_is_written_twice() -> None:
    """Of two writes of one row in one statement only one would count."""
    _, rounds = run(unit(put("a", "1"), put("a", "2")), unit(put("b")))
    assert rounds == [([("put", [("a", "1"), ("b", "x")])], [("put", [("a", "2")])])]


def test_what_refers_to_another_table_is_written_after_it() -> None:
    """A foreign key is checked as soon as a row is there."""
    note, decide = S["note"](text="n"), S["decide"](text="d")
    _, rounds = run(unit(note, decide, S["decisions"](id="a")))
    assert rounds == [([("note", [("n",)]), ("decide", [("d",)])], [("decisions", [("a",)])])]


def test_a_thing_is_its_first_units_until_that_ends() -> None:
    """Whoever names a thing that another has waits until that one has ended; the others go on meanwhile."""
    results, rounds = run(unit(get("a"), get("b"), ends_with=1), unit(get("a"), ends_with=2), unit(get("c")))
    assert [asked for _, asked in rounds] == [[("get", [("a",), ("c",)])], [("get", [("b",)])], [("get", [("a",)])]]
    assert results == [1, 2, None]


def test_units_about_the_same_id_go_after_each_other_in_their_order() -> None:
    """What a unit finds by other means than its name belongs to whom the unit is about: no other is begun meanwhile."""
    about = [("cus",), ("cus", "u"), ("u",), ("other",)]
    _, rounds = run(unit(get("a")), unit(get("b")), unit(get("c")), unit(get("d")), about=about)
    assert [asked for _, asked in rounds] == [
        [("get", [("a",), ("c",), ("d",)])],
        [("get", [("b",)])],
    ]
    _, rounds = run(*(unit(get(str(n))) for n in range(4)), about=[("cus",)] * 4)
    assert [asked for _, asked in rounds] == [[("get", [(str(n),)])] for n in range(4)]


def test_a_circle_is_no_batch() -> None:
    """Two that wait for each other would wait for ever."""
    with pytest.raises(NotTogether):
        run(unit(get("a"), get("b")), unit(get("b"), get("a")))


def test_a_unit_about_nothing_in_particular_is_no_company() -> None:
    """Which rows it finds depends on what the others have done so far; alone it may."""
    with pytest.raises(NotTogether):
        run(unit(S["any"]()), unit(get("a")))
    assert run(unit(S["any"](), ends_with=7))[0] == [7]
    assert run(unit(S["any"]()), unit(get("a")), holding=False)[0] == [None, None]


def test_readers_do_not_wait_for_each_other() -> None:
    """Those who only read may read the same thing at once."""
    _, rounds = run(unit(get("a")), unit(get("a")), holding=False)
    assert rounds == [([], [("get", [("a",), ("a",)])])]


def test_what_a_unit_raises_is_raised() -> None:
    """A driver has to undo the batch, since what the others did rests on it."""

    def fails() -> Work[None]:
        yield get("a")
        raise BadEvent("of its own")

    with pytest.raises(BadEvent):
        run(fails(), unit(get("b")))


def test_nobody_is_about_none() -> None:
    """A statement with no id to look for finds nothing, for however many."""
    assert run(unit(get(None)), unit(get(None)))[1] == [([], [("get", [(None,), (None,)])])]


def test_what_refers_to_what_is_as_the_schema_has_it() -> None:
    """A table with a foreign key that lockstep does not know of would be written before what it refers to."""
    with contextlib.closing(connect()) as connection:
        tables = [str(row[0]) for row in table(connection, "SELECT name FROM sqlite_schema WHERE type = 'table'")]
        found = {
            name: {str(row[0]) for row in table(connection, 'SELECT "table" FROM pragma_foreign_key_list($1)', name)}
            for name in tables
        }
    assert {name: {parent} for name, parent in REFERRED_TO.items()} == {name: to for name, to in found.items() if to}
