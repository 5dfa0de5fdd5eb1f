"""Every object against Stripe's own schema; what was checked is counted and printed at the end of the run."""

from __future__ import annotations

import collections
import functools
import json
import pathlib
from collections.abc import Iterator
from typing import Any, cast

from jsonschema import Draft202012Validator, ValidationError

Obj = dict[str, Any]

SCHEMAS: Obj = json.loads((pathlib.Path(__file__).parent / "stripe-schemas.json").read_text())
# 2026-10-28.endive, which the SDK speaks, after 2026-08-26.dahlia, which the schemas describe: fields
# and values that the SDK's annotations have and the schemas have not.
ADDED: dict[str, set[str]] = {
    "subscription": {"status_details"},
    "invoice": {"status_details"},
    "checkout.session": {"allowed_payment_method_types"},
}
SCHEMAS["$defs"]["portal_flows_flow"]["properties"]["type"]["enum"].append("subscription_pause")
# Kinds that the schemas do not describe; counted apart.
WITHOUT_SCHEMA = {"charge", "card", "invoiceitem"}

tally: collections.Counter[str] = collections.Counter()


@functools.cache
def validator(kind: str) -> Draft202012Validator:
    """The validator of one kind of object."""
    return Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": SCHEMAS["$defs"]})


def _fail(kind: str, body: Obj) -> None:
    found = cast("Iterator[ValidationError]", validator(kind).iter_errors(body))  # pyright: ignore[reportUnknownMemberType]
    problems = [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in found]
    assert not problems, f"{kind} {body.get('id')}: " + "; ".join(problems[:5])


def check(body: Obj, count_as: str = "responses") -> Obj:
    """One object, by its `object` name; a list by its members; a stub of something deleted by its three fields."""
    kind = str(body.get("object", ""))
    if kind == "list":
        for each in body["data"]:
            check(each, count_as)
        return body
    if body.get("deleted"):
        assert body.keys() == {"id", "object", "deleted"}, body
        tally[f"{count_as}: deleted stubs"] += 1
    elif kind in WITHOUT_SCHEMA:
        tally[f"{count_as}: no schema ({kind})"] += 1
    elif "error" in body:
        _fail("error", body)
        tally["errors"] += 1
    else:
        _fail(kind, body)
        unknown = set(body) - set(SCHEMAS["$defs"][kind]["properties"]) - ADDED.get(kind, set())
        assert not unknown, f"{kind} has fields that Stripe has not: {unknown}"
        tally[count_as] += 1
    return body


def check_event(event: Obj) -> Obj:
    """The envelope and the object in it, and what `previous_attributes` may say."""
    _fail("event", event)
    body = event["data"]["object"]
    previous = event["data"].get("previous_attributes")
    assert (previous is not None) == event["type"].endswith(".updated"), event["type"]
    if previous is not None:
        assert previous, f"{event['type']} says that nothing changed"
        assert set(previous) <= set(body), f"{event['type']}: {set(previous) - set(body)} are no fields"
    check(body, "event bodies")
    return event
