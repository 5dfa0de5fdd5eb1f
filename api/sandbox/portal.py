"""The customer portal: sessions, configurations, and what the customer does there."""

from __future__ import annotations

from typing import cast

from . import bills, collection, payments
from .cards import CARDS, DECLINES, OK, offered
from .catalog import assign, merge_metadata, metadata, require
from .changes import cancel_subscription, pause_subscription, resume_subscription, update_subscription
from .errors import EMPTY, NOTHING, Obj, invalid, no_such
from .intents import authenticate as authenticate_intent
from .invoices import pay_invoice
from .ledger import Ledger, same
from .subscriptions import ENDED

FLOWS = ("customer_update", "payment_method_update", "subscription_cancel", "subscription_pause",
         "subscription_update", "subscription_update_confirm")  # fmt: skip

QUANTITY_MAX = 10_000  # as the page's own field


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


# -- the page --------------------------------------------------------------------------------------


def view(w: Ledger, id_: str) -> Obj:
    """All that the page shows."""
    session = w.get("billing_portal.session", id_)
    customer = w.get("customer", session["customer"])
    mine = customer["id"]
    return {
        "session": session, "customer": customer, "return_url": session["return_url"],
        "flow": session["flow"],
        "subscriptions": [_with_product(w, o) for o in reversed(w.all("subscription"))
                          if o["customer"] == mine],
        "payment_methods": [o for o in w.all("payment_method") if o["customer"] == mine],
        "invoices": [o for o in reversed(w.all("invoice"))
                     if o.get("customer") == mine and o["status"] != "draft"],
        "prices": [o | {"product_name": (w.find("product", o["product"]) or NOTHING).get("name")}
                   for o in w.all("price") if o["active"] and o["type"] == "recurring"],
        "cards": offered(), "now": w.now,
    }  # fmt: skip


def _with_product(w: Ledger, sub: Obj) -> Obj:
    items = sub["items"]["data"]
    product = w.find("product", items[0]["price"]["product"]) if items else None
    return sub | {"product_name": (product or NOTHING).get("name")}


def _own(w: Ledger, id_: str, kind: str, name: str) -> Obj:
    """A thing of this session's customer, and of nobody else."""
    session = w.get("billing_portal.session", id_)
    found = w.find(kind, name)
    if found is None or found.get("customer") != session["customer"]:
        raise no_such(kind, name)
    return w.get(kind, name)


def _living(w: Ledger, id_: str, name: str) -> Obj:
    sub = _own(w, id_, "subscription", name)
    if sub["status"] in ENDED:
        raise no_such("subscription", name)
    return sub


def add_card(w: Ledger, id_: str, number: str) -> Obj:
    """A new default card; what is overdue is paid with it."""
    customer = w.get("customer", w.get("billing_portal.session", id_)["customer"])
    card = CARDS.get(number.replace(" ", ""))
    if card is None:
        raise payments.refusal("incorrect_number")
    if card.setup in DECLINES:
        raise payments.refusal(card.setup)
    method = payments.new_method(w, card, {"email": customer.get("email")})
    payments.attach(w, method, customer["id"])
    w.note(method["id"])["set_up"] = True
    w.touch(customer)["invoice_settings"]["default_payment_method"] = method["id"]
    w.emit("customer.updated", customer)
    for sub in w.all("subscription"):
        if sub["customer"] == customer["id"] and sub["status"] not in ENDED and sub["default_payment_method"]:
            w.touch(sub)["default_payment_method"] = method["id"]
            w.emit("customer.subscription.updated", sub)
    owing = [sub for sub in w.all("subscription") if sub["customer"] == customer["id"]
             and sub["status"] in ("past_due", "unpaid", "incomplete")]  # fmt: skip
    paid = [_pay_latest(w, sub, str(method["id"])) for sub in owing]
    return {"payment_method": method, "paid": paid}


def _pay_latest(w: Ledger, sub: Obj, method: str) -> Obj:
    invoice = collection.deciding_invoice(w, sub)
    if invoice is None or invoice["status"] != "open":
        return {"subscription": sub["id"], "outcome": "nothing_due"}
    outcome = collection.collect(w, invoice, on_session=True, method=method, manual=True)
    return {"subscription": sub["id"], "invoice": invoice["id"], "outcome": "paid" if outcome == OK else outcome}


def cancel(w: Ledger, id_: str, name: str, at_period_end: bool) -> Obj:
    """Cancel now or at the period's end."""
    sub = _living(w, id_, name)
    if at_period_end:
        return update_subscription(w, {"cancel_at_period_end": True}, sub["id"])
    return cancel_subscription(w, {}, sub["id"])


def renew(w: Ledger, id_: str, name: str) -> Obj:
    """Take a planned cancellation back."""
    sub = _living(w, id_, name)
    return update_subscription(w, {"cancel_at_period_end": False}, sub["id"])


def update(w: Ledger, id_: str, name: str, price: str | None, quantity: int | None) -> Obj:
    """Another price or quantity."""
    sub = _living(w, id_, name)
    change: Obj = {"id": sub["items"]["data"][0]["id"]}
    if price:
        change["price"] = price
    if quantity is not None:
        if not 1 <= quantity <= QUANTITY_MAX:
            raise invalid(f"This value must be from 1 to {QUANTITY_MAX}.", "quantity")
        change["quantity"] = quantity
    return update_subscription(w, {"items": [change]}, sub["id"])


def pause(w: Ledger, id_: str, name: str) -> Obj:
    """Pause the subscription."""
    return pause_subscription(w, {}, _living(w, id_, name)["id"])


def resume(w: Ledger, id_: str, name: str) -> Obj:
    """Resume it."""
    return resume_subscription(w, {}, _living(w, id_, name)["id"])


def pay(w: Ledger, id_: str, name: str) -> Obj:
    """Pay an open invoice with the default card."""
    return pay_invoice(w, {"off_session": False}, _own(w, id_, "invoice", name)["id"])


def pay_hosted(w: Ledger, name: str, number: str) -> Obj:
    """The hosted invoice page: pay with this card."""
    invoice = w.get("invoice", name)
    card = CARDS.get(number.replace(" ", ""))
    if card is None:
        raise payments.refusal("incorrect_number")
    if card.setup in DECLINES:
        raise payments.refusal(card.setup)
    method = payments.new_method(w, card, {"email": invoice["customer_email"]})
    payments.attach(w, method, invoice["customer"])
    return pay_invoice(w, {"payment_method": method["id"], "off_session": False}, name)


def authenticate(w: Ledger, id_: str, name: str, succeed: bool) -> Obj:
    """Answer the 3-D Secure of one's own invoice."""
    return authenticate_hosted(w, _own(w, id_, "invoice", name)["id"], succeed)


def authenticate_hosted(w: Ledger, name: str, succeed: bool) -> Obj:
    """Answer the 3-D Secure that paying this invoice asked for."""
    invoice = w.get("invoice", name)
    intent = bills.intent_of(w, invoice)
    if intent is None:
        raise invalid("Nothing waits for authentication.")
    outcome = authenticate_intent(w, intent, succeed)
    if outcome != OK:
        raise payments.refusal(outcome)
    return invoice
