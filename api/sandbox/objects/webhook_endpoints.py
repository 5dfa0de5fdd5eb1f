"""Webhook endpoints: what each wants, and the secrets that sign for it."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import Obj, invalid
from interlock.api.sandbox.core.forms import require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.periods import DAY
from interlock.api.sandbox.core.resource import Resource

ENDPOINTS_MAX = 16
ROLL_FOR = DAY


def create_endpoint(w: Ledger, p: Obj, secret: str | None = None) -> Obj:
    """POST /v1/webhook_endpoints; the answer alone shows the secret."""
    require(p, "url", "enabled_events")
    if len(w.all("webhook_endpoint")) >= ENDPOINTS_MAX:
        raise invalid(f"You have reached the maximum of {ENDPOINTS_MAX} test webhook endpoints.")
    if not p["url"].startswith(("http://", "https://")):
        raise invalid("Invalid URL: an explicit scheme (such as https) must be provided.", "url", "url_invalid")
    endpoint = w.new("webhook_endpoint", "we_", p, ("api_version", "description", "enabled_events", "url"),
                     status="enabled")  # fmt: skip
    w.note(endpoint["id"])["secrets"] = [{"secret": secret or w.new_id("whsec_"), "until": None}]
    w.put(endpoint)
    return endpoint | {"secret": w.notes[endpoint["id"]]["secrets"][0]["secret"]}


def _change(_w: Ledger, endpoint: Obj, p: Obj) -> None:
    if not endpoint["url"]:
        raise invalid("An endpoint's url can't be unset.", "url", "parameter_invalid_empty")
    if "disabled" in p:
        endpoint["status"] = "disabled" if p["disabled"] else "enabled"


def delete_endpoint(w: Ledger, _p: Obj, id_: str) -> Obj:
    """DELETE /v1/webhook_endpoints/:id; no stub is left."""
    w.forget("webhook_endpoint", w.get("webhook_endpoint", id_))
    return {"id": id_, "object": "webhook_endpoint", "deleted": True}


def listen(w: Ledger, url: str, secret: str) -> None:
    """One endpoint for the service beside the stand-in, kept over restarts; none without a URL."""
    if not url:
        return
    for endpoint in w.all("webhook_endpoint"):
        if endpoint["metadata"].get("of") == "service":
            w.touch(endpoint)["url"] = url
            w.note(endpoint["id"])["secrets"] = [{"secret": secret, "until": None}]
            return
    create_endpoint(w, {"url": url, "enabled_events": ["*"], "metadata": {"of": "service"}}, secret)


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


ENDPOINTS = Resource("webhook_endpoint", "webhook_endpoints", create_endpoint, ("url", "description", "enabled_events"),
                     _change, where=lambda w, o, _p: not w.notes[o["id"]].get("thin"))  # fmt: skip
ROUTES = ENDPOINTS.routes(("DELETE", "webhook_endpoints/*", "webhook_endpoint_delete", delete_endpoint))
