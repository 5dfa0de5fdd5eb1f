"""The customer portal's sessions and configurations. What the customer does there is in people/portal.py."""

from __future__ import annotations

from typing import cast

from interlock.api.sandbox.core.errors import EMPTY, NOTHING, Obj, invalid, no_such
from interlock.api.sandbox.core.forms import assign, merge_metadata, metadata, require
from interlock.api.sandbox.core.ledger import Ledger, same

FLOWS = ("customer_update", "payment_method_update", "subscription_cancel", "subscription_pause",
         "subscription_update", "subscription_update_confirm")  # fmt: skip


# -- configurations --------------------------------------------------------------------------------


def create_configuration(w: Ledger, p: Obj) -> Obj:
    """POST /v1/billing_portal/configurations"""
    first = not any(True for _ in w.all("billing_portal.configuration"))
    configuration: Obj = {
        "id": w.new_id("bpc_"), "object": "billing_portal.configuration", "active": True,
        "application": None,
        "business_profile": {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None}
        | (p.get("business_profile") or NOTHING),
        "created": w.now, "default_return_url": p.get("default_return_url"),
        "features": _features(_no_features(), p.get("features") or NOTHING), "is_default": first, "livemode": False,
        "login_page": {"enabled": bool((p.get("login_page") or NOTHING).get("enabled")), "url": None},
        "metadata": metadata(p), "name": p.get("name"), "updated": w.now,
    }  # fmt: skip
    w.put(configuration)
    w.emit("billing_portal.configuration.created", configuration)
    return configuration


def _no_features() -> Obj:
    return {
        "customer_update": {"allowed_updates": [], "enabled": False},
        "invoice_history": {"enabled": False},
        "payment_method_update": {"enabled": False, "payment_method_configuration": None},
        "subscription_cancel": {
            "cancellation_reason": {"enabled": False, "options": []}, "enabled": False,
            "mode": "at_period_end", "proration_behavior": "none",
        },
        "subscription_update": {
            "billing_cycle_anchor": "unchanged", "default_allowed_updates": [], "enabled": False,
            "products": [], "proration_behavior": "none", "schedule_at_period_end": {"conditions": []},
            "trial_update_behavior": "end_trial",
        },
    }  # fmt: skip


def _features(now: Obj, given: Obj) -> Obj:
    """The features, with what is given of them."""
    features = _merged(now, given)
    features["subscription_update"]["products"] = [
        {"adjustable_quantity": {"enabled": False, "maximum": None, "minimum": 0}} | product
        for product in features["subscription_update"]["products"] or EMPTY
    ]
    return features


def _merged(now: Obj, given: Obj) -> Obj:
    """A hash of hashes: what is not given stays as it is."""
    merged = dict(now)
    for name, value in given.items():
        if isinstance(value, dict) and isinstance(now.get(name), dict):
            merged[name] = _merged(now[name], cast("Obj", value))
        else:
            assign(merged, given, name)
    return merged


def update_configuration(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/billing_portal/configurations/:id"""
    configuration = w.touch(w.get("billing_portal.configuration", id_))
    assign(configuration, p, "active", "default_return_url", "name")
    if p.get("business_profile"):
        configuration["business_profile"] |= p["business_profile"]
    if p.get("features"):
        configuration["features"] = _features(configuration["features"], p["features"])
    merge_metadata(configuration, p)
    configuration["updated"] = w.now
    w.emit("billing_portal.configuration.updated", configuration)
    return configuration


def get_configuration(w: Ledger, _p: Obj, id_: str) -> Obj:
    """GET /v1/billing_portal/configurations/:id"""
    return w.get("billing_portal.configuration", id_)


def list_configurations(w: Ledger, p: Obj) -> Obj:
    """GET /v1/billing_portal/configurations"""
    return w.page("billing_portal.configuration", p, "/v1/billing_portal/configurations",
                  lambda o: same(o, p, "active", "is_default"))  # fmt: skip


# -- sessions --------------------------------------------------------------------------------------


def create_session(w: Ledger, p: Obj) -> Obj:
    """POST /v1/billing_portal/sessions"""
    require(p, "customer")
    customer = w.of("customer", p["customer"], "customer")
    configurations = w.all("billing_portal.configuration")
    if name := p.get("configuration"):
        configuration = w.of("billing_portal.configuration", name, "configuration")
    else:
        configuration = next((c for c in configurations if c["is_default"]), None) or create_configuration(
            w, {"features": ALL_ON}
        )
    id_ = w.new_id("bps_")
    session: Obj = {
        "id": id_, "object": "billing_portal.session", "configuration": configuration["id"],
        "created": w.now, "customer": customer["id"], "customer_account": None,
        "flow": _flow(w, p["flow_data"], customer) if p.get("flow_data") else None, "livemode": False,
        "locale": p.get("locale"), "on_behalf_of": None,
        "return_url": p.get("return_url") or configuration["default_return_url"],
        "url": f"{w.public_url}/p/{id_}",
    }  # fmt: skip
    w.put(session)
    w.emit("billing_portal.session.created", session)
    return session


ALL_ON: Obj = {
    "customer_update": {"allowed_updates": ["email", "name"], "enabled": True},
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "subscription_cancel": {"enabled": True},
    "subscription_update": {"enabled": True, "default_allowed_updates": ["price", "quantity"]},
}


FLOW_EXTRAS: dict[str, Obj] = {
    "subscription_cancel": {"retention": None},
    "subscription_update_confirm": {"discounts": None, "items": []},
}


def _flow(w: Ledger, data: Obj, customer: Obj) -> Obj:
    kind = data.get("type")
    if kind not in FLOWS:
        raise invalid(f"Invalid flow_data[type]: must be one of {', '.join(FLOWS[:-1])}, or {FLOWS[-1]}",
                      "flow_data[type]")  # fmt: skip
    completion = data.get("after_completion") or NOTHING
    flow: Obj = {
        "after_completion": {
            "hosted_confirmation": completion.get("hosted_confirmation"),
            "redirect": completion.get("redirect"), "type": completion.get("type", "portal_homepage"),
        },
        "customer_update": None, "subscription_cancel": None, "subscription_update": None,
        "subscription_update_confirm": None, "type": kind,
    }  # fmt: skip
    if kind.startswith("subscription_"):
        details = data.get(kind) or NOTHING
        name = details.get("subscription")
        if not name:
            raise invalid(f"Missing required param: flow_data[{kind}].", f"flow_data[{kind}]",
                          "parameter_missing")  # fmt: skip
        sub = w.of("subscription", name, f"flow_data[{kind}][subscription]")
        if sub["customer"] != customer["id"]:
            raise no_such("subscription", name, f"flow_data[{kind}][subscription]", 400)
        flow[kind] = FLOW_EXTRAS.get(kind, NOTHING) | details
    return flow
