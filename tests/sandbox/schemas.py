"""Every object against Stripe's own schema; what was checked is counted and printed at the end of the run."""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, cast

from jsonschema import Draft202012Validator, ValidationError

from tests.kit.counts import validated
from tests.sandbox.annotations import ANNOTATED, misfits

Obj = dict[str, Any]

SCHEMAS: Obj = json.loads((pathlib.Path(__file__).parent / "stripe-schemas.json").read_text())
# 2026-10-28.endive, which the SDK speaks, after 2026-08-26.dahlia, which the schemas describe: fields
# and values that the SDK's annotations have and the schemas have not.
ADDED: dict[str, set[str]] = {
    "subscription": {"status_details"},
    "invoice": {"status_details"},
    "subscription_schedule": {"pause_schedules"},
    "checkout.session": {"allowed_payment_method_types"},
}
SCHEMAS["$defs"]["portal_flows_flow"]["properties"]["type"]["enum"].append("subscription_pause")
SCHEMAS["$defs"]["checkout.session"]["properties"]["ui_mode"]["anyOf"][0]["enum"].append("form")


@functools.cache
def validator(kind: str) -> Draft202012Validator:
    """The validator of one kind of object."""
    return Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": SCHEMAS["$defs"]})


def _fail(kind: str, body: Obj) -> None:
    """Fail where the body is not what the schema says; `jsonschema` is asked only for the words, since it takes
    milliseconds (that `fits` agrees with it is tested)."""
    if fits(kind)(body):
        return
    found = cast("Iterator[ValidationError]", validator(kind).iter_errors(body))  # pyright: ignore[reportUnknownMemberType]
    problems = [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in found]
    assert not problems, f"{kind} {body.get('id')}: " + "; ".join(problems[:5])


# -- the same, quickly ---------------------------------------------------------------------------------

Fits = Callable[[Any], bool]
_TYPES: dict[str, Fits] = {
    "string": lambda body: isinstance(body, str),
    "integer": lambda body: isinstance(body, int) and not isinstance(body, bool),
    "number": lambda body: isinstance(body, int | float) and not isinstance(body, bool),
    "boolean": lambda body: isinstance(body, bool),
    "null": lambda body: body is None,
    "object": lambda body: isinstance(body, dict),
    "array": lambda body: isinstance(body, list),
}


@functools.cache
def fits(kind: str) -> Fits:
    """The schema of one kind of object as a function that says yes or no."""
    return _compiled(SCHEMAS["$defs"][kind])


def _compiled(schema: Obj) -> Fits:
    tests = [_KEYWORDS[name](value, schema) for name, value in schema.items()]  # another keyword is a KeyError
    return tests[0] if len(tests) == 1 else lambda body: all(test(body) for test in tests)


def _ref(name: str, _schema: Obj) -> Fits:
    kind = name.removeprefix("#/$defs/")
    return lambda body: fits(kind)(body)  # not before it is needed: schemas name each other


def _any_of(schemas: list[Obj], _schema: Obj) -> Fits:
    tests = [_compiled(each) for each in schemas]
    return lambda body: any(test(body) for test in tests)


def _properties(schemas: dict[str, Obj], _schema: Obj) -> Fits:
    tests = {name: _compiled(each) for name, each in schemas.items()}
    return lambda body: (
        not isinstance(body, dict)
        or all(tests[name](value) for name, value in cast("Obj", body).items() if name in tests)
    )


def _additional(schema: Obj | bool, whole: Obj) -> Fits:
    named = whole.get("properties", {})
    test = _compiled({} if schema is True else cast("Obj", schema))
    return lambda body: (
        not isinstance(body, dict) or all(test(value) for name, value in cast("Obj", body).items() if name not in named)
    )


def _items(schema: Obj, _schema: Obj) -> Fits:
    test = _compiled(schema)
    return lambda body: not isinstance(body, list) or all(map(test, cast("list[Any]", body)))


_KEYWORDS: dict[str, Callable[[Any, Obj], Fits]] = {
    "$ref": _ref,
    "additionalProperties": _additional,
    "anyOf": _any_of,
    "enum": lambda values, _schema: lambda body: body in values,
    "items": _items,
    "properties": _properties,
    "required": lambda names, _schema: lambda body: not isinstance(body, dict) or all(name in body for name in names),
    "type": lambda name, _schema: _TYPES[name],
}


OF_ITS_TYPE = ("data", "related_object")
"""What each type of a thin event has of its own."""


def check(body: Obj, count_as: str = "responses") -> Obj:
    """One object, by its `object` name; a list by its members; a stub of something deleted by its three fields."""
    kind = str(body.get("object", ""))
    if not body:
        return body  # a stream's answer
    if kind == "list" or "next_page_url" in body:
        for each in body["data"]:
            check(each, count_as)
        return body
    if body.get("deleted"):
        assert body.keys() == {"id", "object", "deleted"}, body
        validated[f"{count_as}: deleted stubs"] += 1
    elif kind in ANNOTATED:
        fields = {name: each for name, each in body.items() if kind != "v2.core.event" or name not in OF_ITS_TYPE}
        assert (found := misfits(kind, fields)) == [], found
        validated[f"{count_as} by the SDK's annotations ({kind})"] += 1
    elif "error" in body:
        _fail("error", body)
        validated["errors"] += 1
    else:
        _fail(kind, body)
        unknown = set(body) - set(SCHEMAS["$defs"][kind]["properties"]) - ADDED.get(kind, set())
        assert not unknown, f"{kind} has fields that Stripe has not: {unknown}"
        validated[count_as] += 1
    return body


def check_event(event: Obj) -> Obj:
    """The envelope and the object in it, and what `previous_attributes` may say."""
    _fail("event", event)
    body = event["data"]["object"]
    previous = event["data"].get("previous_attributes")
    assert (previous is not None) == event["type"].endswith(".updated"), event["type"]
    if previous is not None:
        assert previous, f"{event['type']} says that nothing changed"
        # one that is not there any more was a field of this kind
        fields = set(body) | set(SCHEMAS["$defs"].get(body["object"], {}).get("properties", ()))
        assert set(previous) <= fields, f"{event['type']}: {set(previous) - fields} are no fields"
    check(body, "event bodies")
    return event
