"""Webhook endpoints, events as a resource, and test clocks."""

from __future__ import annotations

from .catalog import assign, merge_metadata, metadata, require
from .errors import Obj, invalid, no_such
from .ledger import EVENTS_KEPT, Ledger, in_range, paged
from .periods import DAY

ENDPOINTS_MAX = 16
TYPES_MAX = 20
ROLL_FOR = DAY


def create_endpoint(w: Ledger, p: Obj, secret: str | None = None) -> Obj:
    """POST /v1/webhook_endpoints; the answer alone shows the secret."""
    require(p, "url", "enabled_events")
    if len(w.all("webhook_endpoint")) >= ENDPOINTS_MAX:
        raise invalid(f"You have reached the maximum of {ENDPOINTS_MAX} test webhook endpoints.")
    if not p["url"].startswith(("http://", "https://")):
        raise invalid("Invalid URL: an explicit scheme (such as https) must be provided.", "url", "url_invalid")
    endpoint: Obj = {
        "id": w.new_id("we_"), "object": "webhook_endpoint", "api_version": p.get("api_version"),
        "application": None, "created": w.now, "description": p.get("description"),
        "enabled_events": p["enabled_events"], "livemode": False, "metadata": metadata(p),
        "status": "enabled", "url": p["url"],
    }  # fmt: skip
    w.note(endpoint["id"])["secrets"] = [{"secret": secret or w.new_id("whsec_"), "until": None}]
    w.put(endpoint)
    return endpoint | {"secret": w.notes[endpoint["id"]]["secrets"][0]["secret"]}


def get_endpoint(w: Ledger, _p: Obj, id_: str) -> Obj:
    """GET /v1/webhook_endpoints/:id"""
    return w.get("webhook_endpoint", id_)


def update_endpoint(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/webhook_endpoints/:id"""
    endpoint = w.touch(w.get("webhook_endpoint", id_))
    if p.get("url") == "":
        raise invalid("An endpoint's url can't be unset.", "url", "parameter_invalid_empty")
    assign(endpoint, p, "url", "description", "enabled_events")
    merge_metadata(endpoint, p)
    if "disabled" in p:
        endpoint["status"] = "disabled" if p["disabled"] else "enabled"
    return endpoint


def delete_endpoint(w: Ledger, _p: Obj, id_: str) -> Obj:
    """DELETE /v1/webhook_endpoints/:id"""
    w.forget("webhook_endpoint", w.get("webhook_endpoint", id_))
    return {"id": id_, "object": "webhook_endpoint", "deleted": True}


def list_endpoints(w: Ledger, p: Obj) -> Obj:
    """GET /v1/webhook_endpoints"""
    return w.page("webhook_endpoint", p, "/v1/webhook_endpoints")


def roll_secret(w: Ledger, id_: str, secret: str | None = None, keep_for: int = ROLL_FOR) -> str:
    """A new secret; the old ones sign beside it for at most a day (the Dashboard does this)."""
    note = w.note(w.get("webhook_endpoint", id_)["id"])
    until = w.time + min(keep_for, ROLL_FOR)
    for each in note["secrets"]:
        each["until"] = until if each["until"] is None else each["until"]
    new = secret or w.new_id("whsec_")
    note["secrets"].insert(0, {"secret": new, "until": None})
    return new


def secrets_of(w: Ledger, id_: str) -> list[str]:
    """The secrets that sign now, the newest first."""
    return [str(each["secret"]) for each in w.notes[id_]["secrets"]
            if each["until"] is None or each["until"] > w.time]  # fmt: skip


def wants(endpoint: Obj, type_: str) -> bool:
    """Does this endpoint take this type?"""
    enabled: list[str] = endpoint["enabled_events"]
    return endpoint["status"] == "enabled" and ("*" in enabled or type_ in enabled)


# -- events ----------------------------------------------------------------------------------------


def get_event(w: Ledger, _p: Obj, id_: str) -> Obj:
    """GET /v1/events/:id; kept for 30 days."""
    event = w.get("event", id_)
    if event["created"] <= w.time - EVENTS_KEPT:
        raise no_such("event", id_)
    return event


def list_events(w: Ledger, p: Obj) -> Obj:
    """GET /v1/events"""
    types = p.get("types")
    if types is not None and len(types) > TYPES_MAX:
        raise invalid("You may pass up to 20 event types.", "types")
    if types is not None and "type" in p:
        raise invalid("You may pass only one of type and types.", "types")
    exact = p.get("type", "*")

    def typed(o: Obj) -> bool:
        if types is not None:
            return o["type"] in types
        return exact == "*" or o["type"] == exact or (exact.endswith(".*") and o["type"].startswith(exact[:-1]))

    found = [o for o in reversed(w.all("event")) if typed(o)
             and o["created"] > w.time - EVENTS_KEPT and in_range(o["created"], p.get("created"))
             and ("delivery_success" not in p or (o["pending_webhooks"] == 0) == p["delivery_success"])]  # fmt: skip
    return paged(found, p, "/v1/events")


# -- test clocks -----------------------------------------------------------------------------------


def create_clock(w: Ledger, p: Obj) -> Obj:
    """POST /v1/test_helpers/test_clocks"""
    require(p, "frozen_time")
    clock: Obj = {
        "id": w.new_id("clock_"), "object": "test_helpers.test_clock", "created": w.time,
        "deletes_after": w.time + 30 * DAY, "frozen_time": p["frozen_time"], "livemode": False,
        "name": p.get("name"), "status": "ready", "status_details": {},
    }  # fmt: skip
    w.put(clock)
    w.emit("test_helpers.test_clock.created", clock)
    return clock


def get_clock(w: Ledger, _p: Obj, id_: str) -> Obj:
    """GET /v1/test_helpers/test_clocks/:id"""
    return w.get("test_helpers.test_clock", id_)


def list_clocks(w: Ledger, p: Obj) -> Obj:
    """GET /v1/test_helpers/test_clocks"""
    return w.page("test_helpers.test_clock", p, "/v1/test_helpers/test_clocks")


def advance_clock(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/test_helpers/test_clocks/:id/advance: answered at once, done soon after."""
    require(p, "frozen_time")
    clock = w.touch(w.get("test_helpers.test_clock", id_))
    if clock["status"] != "ready":
        raise invalid("Test clock advancement already underway.", code="test_clock_not_ready")
    if p["frozen_time"] <= clock["frozen_time"]:
        raise invalid("The frozen_time must be after the clock's current frozen_time.", "frozen_time")
    clock |= {"status": "advancing",
              "status_details": {"advancing": {"target_frozen_time": p["frozen_time"]}}}  # fmt: skip
    w.emit("test_helpers.test_clock.advancing", clock)
    return clock


def delete_clock(w: Ledger, _p: Obj, id_: str) -> Obj:
    """DELETE /v1/test_helpers/test_clocks/:id, and all that lives on it."""
    clock = w.get("test_helpers.test_clock", id_)
    w.emit("test_helpers.test_clock.deleted", clock)
    w.clock = None
    for kind in ("customer", "subscription", "invoice", "invoiceitem"):
        for obj in w.all(kind):
            if obj.get("test_clock") == id_:
                w.replace(obj, {"id": obj["id"], "object": kind, "deleted": True})
    w.replace(clock, {"id": id_, "object": "test_helpers.test_clock", "deleted": True})
    w.clock = None
    return clock
