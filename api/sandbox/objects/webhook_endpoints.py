"""Webhook endpoints: what each wants, and the secrets that sign for it."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import Obj, invalid
from interlock.api.sandbox.core.forms import assign, merge_metadata, metadata, require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import DAY

ENDPOINTS_MAX = 16
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
