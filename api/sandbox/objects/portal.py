"""The customer portal's sessions and configurations. What the customer does there is in people/portal.py."""

from __future__ import annotations

from typing import cast

from interlock.api.sandbox.core.errors import EMPTY, NOTHING, Obj, invalid, no_such
from interlock.api.sandbox.core.forms import assign, require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.resource import Resource

FLOWS = ("customer_update", "payment_method_update", "subscription_cancel", "subscription_pause",
         "subscription_update", "subscription_update_confirm")  # fmt: skip


# -- configurations --------------------------------------------------------------------------------


def create_configuration(w: Ledger, p: Obj) -> Obj:
    """POST /v1/billing_portal/configurations"""
    first = not any(True for _ in w.all("billing_portal.configuration"))
    texts: Obj = {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None}
    configuration = w.new(
        "billing_portal.configuration", "bpc_", p, ("default_return_url", "name"), active=True,
        business_profile=texts | (p.get("business_profile") or NOTHING), is_default=first,
        features=_features(_no_features(), p.get("features") or NOTHING), updated=w.now,
        login_page={"enabled": bool((p.get("login_page") or NOTHING).get("enabled")), "url": None},
    )  # fmt: skip
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


def _change(_w: Ledger, configuration: Obj, p: Obj) -> None:
    configuration["business_profile"] |= p.get("business_profile") or NOTHING
    if p.get("features"):
        configuration["features"] = _features(configuration["features"], p["features"])


CONFIGURATIONS = Resource(
    "billing_portal.configuration", "billing_portal/configurations", create_configuration,
    ("active", "default_return_url", "name"), _change, filters=("active", "is_default"),
    events="billing_portal.configuration",
)  # fmt: skip


# -- sessions --------------------------------------------------------------------------------------


def create_session(w: Ledger, p: Obj) -> Obj:
    """POST /v1/billing_portal/sessions"""
    require(p, "customer")
    customer = w.of("customer", p["customer"], "customer")
    configurations = w.all("billing_portal.configuration")
    if name := p.get("configuration"):
        configuration = w.of("billing_portal.configuration", name, "configuration")
    else:
        configuration = next((c for c in configurations if c["is_default"]), None)
        if configuration is None and not w.account["portal_saved"]:
            raise invalid(
                "No configuration provided and your test mode default configuration has not been created. Provide a "
                "configuration or create your default configuration at "
                "https://dashboard.stripe.com/test/settings/billing/portal.")  # fmt: skip
        configuration = configuration or create_configuration(w, {"features": ALL_ON})
    session = w.new(
        "billing_portal.session", "bps_", p, ("locale",), configuration=configuration["id"], customer=customer["id"],
        flow=_flow(w, p["flow_data"], customer, configuration) if p.get("flow_data") else None,
        return_url=p.get("return_url") or configuration["default_return_url"],
    )  # fmt: skip
    session["url"] = f"{w.public_url}/p/{session['id']}"
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


def refuses(sub: Obj, flow: str, configuration: Obj) -> str | None:
    """Why the portal does not let this subscription be changed so; None where it does."""
    feature, verb = ("update", "updated") if flow.startswith("subscription_update") else ("cancel", "canceled")
    if flow == "subscription_pause":
        return None
    why = None
    if not configuration["features"][f"subscription_{feature}"]["enabled"]:
        why = f"the subscription {feature} feature in the portal configuration is disabled"
    elif sub["status"] in ("canceled", "incomplete", "incomplete_expired"):
        why = f"its status is {sub['status']}"
    elif verb == "updated":
        items: list[Obj] = sub["items"]["data"]
        if len(items) > 1:
            why = "it contains multiple items"
        elif items[0]["price"]["recurring"]["usage_type"] == "metered":
            why = "it contains a usage-based price"
        elif sub["collection_method"] == "send_invoice":
            why = "its collection method is send_invoice"
        elif sub["schedule"]:
            why = "it is managed by a subscription schedule"
    return f"This subscription cannot be {verb} because {why}." if why else None


def _flow(w: Ledger, data: Obj, customer: Obj, configuration: Obj) -> Obj:
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
        if refusal := refuses(sub, kind, configuration):
            raise invalid(refusal, f"flow_data[{kind}][subscription]")
        flow[kind] = FLOW_EXTRAS.get(kind, NOTHING) | details
    return flow


ROUTES = CONFIGURATIONS.routes(
    ("POST", "billing_portal/sessions", "billing_portal.session_create", create_session),
)
