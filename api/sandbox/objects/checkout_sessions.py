"""Checkout sessions in subscription mode. What the customer does on the page is in paying.py."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import EMPTY, NOTHING, Obj, invalid, missing
from interlock.api.sandbox.core.forms import require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.lists import listed, paged
from interlock.api.sandbox.core.periods import DAY, HOUR
from interlock.api.sandbox.core.resource import Resource
from interlock.api.sandbox.core.rules import Rule, one
from interlock.api.sandbox.objects.amounts import amount_of
from interlock.api.sandbox.objects.discounts import Use, chosen
from interlock.api.sandbox.objects.products import same_currency
from interlock.api.sandbox.objects.setup_intents import create_setup_intent
from interlock.api.sandbox.objects.subscription_settings import billing_mode
from interlock.api.sandbox.objects.subscriptions import check_anchor, trial_end_given

SHORTEST, LONGEST = HOUR // 2, DAY


def create_session(w: Ledger, p: Obj) -> Obj:
    """POST /v1/checkout/sessions"""
    mode = p.get("mode")
    if mode is None:
        raise missing("mode")
    if mode == "payment":
        raise invalid("The sandbox has Checkout in subscription and setup mode only, not payment.", "mode")
    if mode == "setup" and p.get("line_items"):
        raise invalid("You can not pass `line_items` in `setup` mode.", "line_items")
    _check_ends(p)
    customer = w.of("customer", p["customer"], "customer") if p.get("customer") else None
    _check_buyer(p, customer)
    if p.get("allow_promotion_codes") is not None and p.get("discounts"):
        raise invalid("You may only specify one of these parameters: allow_promotion_codes, discounts.",
                      "discounts")  # fmt: skip
    items = _line_items(w, p) if mode == "subscription" else []
    session = _new_session(w, p, customer, items)
    if mode == "setup":
        given = (p.get("setup_intent_data") or NOTHING) | {"customer": session["customer"]}
        session["setup_intent"] = create_setup_intent(w, given)["id"]
        w.note(session["setup_intent"])["session"] = session["id"]
    w.put(session)
    data = p.get("subscription_data") or NOTHING
    mode_given = {"subscription_data": data | {"billing_mode": billing_mode(w, data)}}  # the session's API version
    w.note(session["id"]).update({"params": p | mode_given, "items": items})
    return session


def _check_ends(p: Obj) -> None:
    """Where the customer goes afterwards: Stripe's page has a success_url, one embedded in the shop a return_url."""
    if (p.get("ui_mode") or "hosted_page") == "hosted_page":
        if not p.get("success_url"):
            raise missing("success_url")
        return
    for name in ("success_url", "cancel_url"):
        if p.get(name):
            raise invalid(f"`{name}` can not be passed in when `ui_mode` is `{p['ui_mode']}`.", name)
    if not p.get("return_url") and p.get("redirect_on_completion") != "never":
        raise missing("return_url")


def _check_buyer(p: Obj, customer: Obj | None) -> None:
    """What a session asks of an existing customer must be allowed to be saved on it."""
    saved = p.get("customer_update") or NOTHING
    if customer is None:
        if saved:
            raise invalid("`customer_update` can only be used with `customer`.", "customer_update")
        return
    if p.get("customer_email"):
        raise invalid("You may only specify one of these parameters: customer, customer_email.", "customer")
    if (p.get("tax_id_collection") or NOTHING).get("enabled") and saved.get("name") != "auto":
        raise invalid("Tax ID collection requires updating business name on the customer. To enable tax ID collection "
                      "for an existing customer, please set `customer_update[name]` to `auto`.")  # fmt: skip
    automatic = (p.get("automatic_tax") or NOTHING).get("enabled")
    if automatic and not customer["address"] and "auto" not in (saved.get("address"), saved.get("shipping")):
        raise invalid(
            "Automatic tax calculation in Checkout requires a valid address on the Customer. Add a valid address to "
            "the Customer or set either `customer_update[address]` to 'auto' or `customer_update[shipping]` to 'auto' "
            "to save the address entered in Checkout to the Customer.",
            code="customer_tax_location_invalid")  # fmt: skip


def _line_items(w: Ledger, p: Obj) -> list[Obj]:
    if not p.get("line_items"):
        raise missing("line_items")
    items: list[Obj] = []
    currency = p.get("currency")
    for n, given in enumerate(p["line_items"]):
        param = f"line_items[{n}]"
        require(given, "price")
        price = w.of("price", given["price"], f"{param}[price]")
        if not price["active"]:
            raise invalid(f"The price specified is inactive. This field only accepts active prices.: {price['id']}",
                          f"{param}[price]")  # fmt: skip
        currency = same_currency(price, currency, f"{param}[price]")
        quantity = _quantity(price, given, param)
        amount = amount_of(w, price, quantity or 0) if quantity else 0
        product = w.find("product", price["product"]) or NOTHING
        items.append(w.new(
            "item", "li_", amount_discount=0, amount_subtotal=amount, amount_tax=0, amount_total=amount,
            currency=price["currency"], description=product.get("name"), price=dict(price), quantity=quantity,
        ))  # fmt: skip
    recurring = [item["price"] for item in items if item["price"]["type"] == "recurring"]
    if not recurring:
        raise invalid("You must provide at least one recurring price in `subscription` mode when using prices.",
                      "line_items")  # fmt: skip
    check_anchor(w, p.get("subscription_data") or NOTHING, recurring, "subscription_data[{}]")
    return items


def _quantity(price: Obj, given: Obj, param: str) -> int | None:
    """How many of a price; what is metered is counted, not bought."""
    quantity = given.get("quantity")
    if ((price["recurring"] or NOTHING).get("usage_type")) == "metered":
        if quantity is not None:
            raise invalid("Quantity should not be specified where usage_type is `metered`. Remove quantity from "
                          f"`{param}`", f"{param}[quantity]")  # fmt: skip
        return None
    if quantity is None:
        raise invalid(f"Quantity is required. Add `quantity` to `{param}`", f"{param}[quantity]")
    if quantity < 1:
        raise invalid("This value must be greater than or equal to 1.", f"{param}[quantity]")
    return int(quantity)


def _expiry(w: Ledger, p: Obj) -> int:
    at = int(p.get("expires_at") or w.now + LONGEST)
    if not w.now + SHORTEST - 60 <= at <= w.now + LONGEST + 60:
        raise invalid("The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout "
                      "Session creation.", "expires_at")  # fmt: skip
    return at


_TAKEN = ("allow_promotion_codes", "billing_address_collection", "cancel_url", "client_reference_id", "customer_email",
          "locale", "mode", "success_url")  # fmt: skip


def _new_session(w: Ledger, p: Obj, customer: Obj | None, items: list[Obj]) -> Obj:
    trial = _trial(w, p)
    subtotal = 0 if trial else sum(int(i["amount_subtotal"]) for i in items)
    off = discount_off(w, p, subtotal)
    ui_mode = p.get("ui_mode") or "hosted_page"
    email = (customer or NOTHING).get("email") or p.get("customer_email")
    session = w.new(
        "checkout.session", "cs_test_", p, _TAKEN, adaptive_pricing={"enabled": False}, amount_subtotal=subtotal,
        amount_total=subtotal - off,
        automatic_tax={"enabled": bool((p.get("automatic_tax") or NOTHING).get("enabled")), "liability": None,
                       "provider": None, "status": None},
        currency=items[0]["currency"] if items else p.get("currency"), custom_fields=[],
        custom_text=dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")),
        customer=customer["id"] if customer else None, customer_creation=None if customer else "always",
        customer_details=details_of(email, (customer or NOTHING).get("name")) if email else None,
        discounts=[{"coupon": d.get("coupon"), "promotion_code": d.get("promotion_code")}
                   for d in p.get("discounts") or EMPTY],
        expires_at=_expiry(w, p), optional_items=[],
        payment_method_collection=p.get("payment_method_collection", "always"),
        payment_method_options={"card": {"request_three_d_secure": "automatic"}}, payment_method_types=["card"],
        payment_status="no_payment_required" if p["mode"] == "setup" else "unpaid",
        phone_number_collection={"enabled": False}, redirect_on_completion="always", return_url=p.get("return_url", ""),
        shipping_options=[], status="open",
        total_details={"amount_discount": off, "amount_shipping": 0, "amount_tax": 0}, ui_mode=ui_mode,
    )  # fmt: skip
    if ui_mode == "hosted_page":
        session["url"] = f"{w.public_url}/c/{session['id']}"
    else:
        session["client_secret"] = f"{session['id']}_secret_{w.new_id('')}"
    return session


def details_of(email: str | None, name: str | None) -> Obj:
    """`customer_details`."""
    return {"address": None, "business_name": None, "email": email, "individual_name": None, "name": name,
            "phone": None, "tax_exempt": "none", "tax_ids": []}  # fmt: skip


def _trial(w: Ledger, p: Obj) -> bool:
    data = p.get("subscription_data") or NOTHING
    days = data.get("trial_period_days")
    if days is not None and days < 1:
        raise invalid("The minimum number of trial period days is 1.", "subscription_data[trial_period_days]")
    if data.get("trial_end") is not None and int(data["trial_end"]) < w.now + 2 * DAY:
        raise invalid("The `trial_end` date has to be at least 2 days in the future.",
                      "subscription_data[trial_end]")  # fmt: skip
    return trial_end_given(w, data, "subscription_data[{}]") is not None


def discount_off(w: Ledger, p: Obj, subtotal: int) -> int:
    """What the discounts of a session take off."""
    off, use = 0, _use(w, p)
    for n, each in enumerate(p.get("discounts") or EMPTY):
        coupon, _ = chosen(w, each, use, f"discounts[{n}]")
        left = subtotal - off
        percent = coupon["percent_off"]
        off += round(left * percent / 100) if percent else min(int(coupon["amount_off"] or 0), left)
    return off


def _use(w: Ledger, p: Obj) -> Use:
    """Whose session it is, and what it costs once a trial is over."""
    items = [(w.of("price", i["price"], "line_items"), i.get("quantity", 1)) for i in p.get("line_items") or EMPTY]
    amount = sum(amount_of(w, price, quantity) for price, quantity in items)
    return Use(p.get("customer"), amount, items[0][0]["currency"] if items else p.get("currency"))


def line_items(w: Ledger, p: Obj, id_: str) -> Obj:
    """GET /v1/checkout/sessions/:id/line_items"""
    w.get("checkout.session", id_)
    return paged(list(w.notes[id_]["items"]), p, f"/v1/checkout/sessions/{id_}/line_items")


def expire(w: Ledger, _p: Obj, id_: str) -> Obj:
    """POST /v1/checkout/sessions/:id/expire"""
    session = w.get("checkout.session", id_)
    if session["status"] != "open":
        raise invalid("Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session "
                      f"has a status of {session['status']}.")  # fmt: skip
    expire_session(w, session)
    return session


def expire_session(w: Ledger, session: Obj) -> None:
    """open → expired."""
    w.touch(session)
    session |= {"status": "expired", "url": None}
    w.emit("checkout.session.expired", session)


def _expires_at(_w: Ledger, session: Obj) -> int:
    return int(session["expires_at"])


RULES: dict[str, tuple[Rule, ...]] = {
    "checkout.session": (Rule("session expires", one("open"), _expires_at, expire_session),),
}
SESSIONS = Resource(
    "checkout.session", "checkout/sessions", create_session, filters=("customer", "subscription", "status")
)
ROUTES = SESSIONS.routes(
    ("GET", "checkout/sessions/*/line_items", "checkout.session_line_item_list", line_items),
    ("POST", "checkout/sessions/*/expire", "checkout.session_expire", expire),
)


def _items(w: Ledger, session: Obj) -> Obj:
    return listed(w.notes[session["id"]]["items"], f"/v1/checkout/sessions/{session['id']}/line_items")


INCLUDES = {("checkout.session", "line_items"): _items}
