"""Subscriptions: create, change, cancel, pause, resume, list. What time does to them is in lifecycle.py."""

from __future__ import annotations

from typing import Any

from . import bills, collection, payments
from .cards import AUTHENTICATE, OK
from .catalog import assign, create_product, merge_metadata, metadata, recurring_of, redeem, require
from .errors import EMPTY, NOTHING, Obj, StripeError, invalid, no_such
from .ledger import Ledger, in_range
from .lifecycle import earliest_end, ended_without_method, warn_of_trial_end
from .periods import DAY, HOUR, period_end
from .prorations import prorate

ENDED = ("canceled", "incomplete_expired")
RESUME_WITHIN = {"resume_on_payment_success": 365 * DAY, "before_endive": 23 * HOUR}


# -- items -----------------------------------------------------------------------------------------


def _price_for(w: Ledger, given: Obj, param: str) -> Obj:
    if data := given.get("price_data"):
        require(data, "currency", "recurring")
        product = data.get("product") or create_product(w, {"name": "Inline product"})["id"]
        w.of("product", product, f"{param}[price_data][product]")
        amount = data.get("unit_amount")
        return w.put({
            "id": w.new_id("price_"), "object": "price", "active": False, "billing_scheme": "per_unit",
            "created": w.now, "currency": data["currency"].lower(), "custom_unit_amount": None,
            "livemode": False, "lookup_key": None, "metadata": {}, "nickname": None, "product": product,
            "recurring": recurring_of(w, data["recurring"]), "tax_behavior": "unspecified",
            "tiers_mode": None, "transform_quantity": None, "type": "recurring", "unit_amount": amount,
            "unit_amount_decimal": data.get("unit_amount_decimal") or str(amount),
        })  # fmt: skip
    name = given.get("price") or given.get("plan")
    if not name:
        raise invalid(f"Missing required param: {param}[price].", f"{param}[price]", "parameter_missing")
    price = w.of("price", name, f"{param}[price]")
    if price["type"] != "recurring":
        raise invalid(
            "The price specified is set to `type=one_time` but this field only accepts prices with "
            "`type=recurring`.", f"{param}[price]")  # fmt: skip
    if not price["active"]:
        raise invalid("The price specified is inactive. This field only accepts active prices.",
                      f"{param}[price]")  # fmt: skip
    return price


def new_item(w: Ledger, sub: str, given: Obj, period: tuple[int, int], param: str) -> Obj:
    """One item of a subscription."""
    price = _price_for(w, given, param)
    quantity = given.get("quantity", 1)
    if quantity < 0:
        raise invalid("This value must be greater than or equal to 0.", f"{param}[quantity]",
                      "parameter_invalid_integer")  # fmt: skip
    item: Obj = {
        "id": w.new_id("si_"), "object": "subscription_item", "billing_thresholds": None, "created": w.now,
        "current_period_end": period[1], "current_period_start": period[0], "discounts": [],
        "metadata": metadata(given), "price": dict(price), "quantity": quantity, "subscription": sub,
        "tax_rates": [],
    }  # fmt: skip
    if price["recurring"]["usage_type"] == "metered":
        item.pop("quantity")
    w.note(item["id"])["subscription"] = sub
    return item


# -- create ----------------------------------------------------------------------------------------


def create_subscription(w: Ledger, p: Obj) -> Obj:
    """POST /v1/subscriptions"""
    require(p, "customer")
    if not p.get("items"):
        raise invalid("Missing required param: items.", "items", "parameter_missing")
    customer = w.of("customer", p["customer"], "customer")
    return open_subscription(w, customer, p)


def open_subscription(w: Ledger, customer: Obj, p: Obj, *, checkout: bool = False) -> Obj:
    """Make it, bill it, and try the first payment.

    Through the API `created` tells the state after the first payment; a Checkout page pays after the
    subscription was made, so there it is `incomplete` first.
    """
    mark = len(w.fresh_events)
    sub = _blank(w, customer, p)
    w.put(sub)
    w.unborn.add(sub["id"])
    lines = _first_lines(w, sub)
    sub["currency"] = sub["items"]["data"][0]["price"]["currency"]
    if not customer.get("currency"):
        w.touch(customer)["currency"] = sub["currency"]
    sub["discounts"] = redeem(w, _discounts(p), customer=customer["id"], sub=sub["id"])
    _add_invoice_items(w, sub, p, lines)
    invoice = collection.bill(w, sub, reason="subscription_create", lines=lines,
                              auto_advance=sub["collection_method"] == "send_invoice")  # fmt: skip
    if checkout:
        _announce(w, sub, mark)
    _first_payment(w, sub, invoice, p, checkout)
    if not checkout:
        _announce(w, sub, mark)
    if sub["status"] == "trialing" and sub["trial_end"] - w.now <= 3 * DAY:
        warn_of_trial_end(w, sub)
    return sub


def _announce(w: Ledger, sub: Obj, mark: int) -> None:
    w.unborn.discard(sub["id"])
    w.emit("customer.subscription.created", sub, at=mark)


def _discounts(p: Obj) -> list[Obj]:
    given: list[Obj] = list(p.get("discounts") or EMPTY)
    for name in ("coupon", "promotion_code"):
        if p.get(name):
            given.append({name: p[name]})
    return given


def _trial_end(w: Ledger, p: Obj) -> int | None:
    given = p.get("trial_end")
    if given not in (None, "", "now"):
        if int(given) <= w.now:
            raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", "trial_end")
        return int(given)
    days = int(p.get("trial_period_days") or 0)
    return w.now + days * DAY if days and given != "now" else None


def _blank(w: Ledger, customer: Obj, p: Obj) -> Obj:
    trial_end = _trial_end(w, p)
    collection_method = p.get("collection_method", "charge_automatically")
    if collection_method == "send_invoice" and "days_until_due" not in p:
        raise invalid("When creating a subscription with `collection_method=send_invoice`, you must specify "
                      "`days_until_due`.", "days_until_due")  # fmt: skip
    start = {"charge_automatically": "incomplete", "send_invoice": "active"}[collection_method]
    id_ = w.new_id("sub_")
    anchor = p.get("billing_cycle_anchor") or trial_end or w.now
    sub: Obj = {
        "id": id_, "object": "subscription", "application": None, "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": anchor, "billing_cycle_anchor_config": None,
        "billing_mode": _billing_mode(p), "billing_schedules": [], "billing_thresholds": None,
        "cancel_at": None, "cancel_at_period_end": False, "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "feedback_option": None, "reason": None},
        "collection_method": collection_method, "created": w.now, "currency": p.get("currency", "usd"),
        "customer": customer["id"], "customer_account": None, "days_until_due": p.get("days_until_due"),
        "default_payment_method": None, "default_source": p.get("default_source"),
        "default_tax_rates": [], "description": p.get("description") or None, "discounts": [],
        "ended_at": None, "invoice_settings": {"account_tax_ids": None, "custom_fields": None,
                                               "description": None, "footer": None,
                                               "issuer": {"type": "self"}},
        "items": {"object": "list", "data": [], "has_more": False,
                  "url": f"/v1/subscription_items?subscription={id_}"},
        "latest_invoice": None, "livemode": False, "managed_payments": None, "metadata": metadata(p),
        "next_pending_invoice_item_invoice": None, "on_behalf_of": None, "pause_collection": None,
        "payment_settings": {"payment_method_options": None, "payment_method_types": None,
                             "save_default_payment_method": "off"} | (p.get("payment_settings") or NOTHING),
        "pending_invoice_item_interval": None, "pending_setup_intent": None, "pending_update": None,
        "schedule": None, "start_date": w.now, "status": "trialing" if trial_end else start,
        "status_details": None, "test_clock": customer.get("test_clock"), "transfer_data": None,
        "trial_end": trial_end, "trial_settings": _trial_settings(p),
        "trial_start": w.now if trial_end else None,
    }  # fmt: skip
    if name := p.get("default_payment_method"):
        sub["default_payment_method"] = _method(w, customer["id"], name)
    for n, given in enumerate(p["items"]):
        period = (w.now, trial_end or w.now)
        sub["items"]["data"].append(new_item(w, id_, given, period, f"items[{n}]"))
    if "cancel_at_period_end" in p or "cancel_at" in p:
        _first_period(w, sub)
        _schedule_cancel(w, sub, p)
    return sub


def _billing_mode(p: Obj) -> Obj:
    given = p.get("billing_mode") or NOTHING
    if given.get("type") == "classic":
        return {"type": "classic", "flexible": None}
    return {"type": "flexible", "flexible": {"proration_discounts": "included"} | (given.get("flexible") or NOTHING)}


def _trial_settings(p: Obj) -> Obj:
    default: Obj = {"billing_cycle_anchor": "now", "missing_payment_method": "create_invoice"}
    given = (p.get("trial_settings") or NOTHING).get("end_behavior") or NOTHING
    return {"end_behavior": default | given}


def _method(w: Ledger, customer: str, name: str) -> str:
    method = payments.method_named(w, name, "default_payment_method")
    if method["customer"] != customer:
        raise invalid(
            f"The customer does not have a payment method with the ID {name}. The payment method must be "
            "attached to the customer.", "default_payment_method", "resource_missing")  # fmt: skip
    return str(method["id"])


def _first_period(w: Ledger, sub: Obj) -> None:
    for item in sub["items"]["data"]:
        end = sub["trial_end"] or period_end(item["price"]["recurring"], sub["billing_cycle_anchor"], w.now)
        item |= {"current_period_start": w.now, "current_period_end": end}


def _first_lines(w: Ledger, sub: Obj) -> list[Obj]:
    _first_period(w, sub)
    lines: list[Obj] = []
    for item in sub["items"]["data"]:
        period = (w.now, item["current_period_end"])
        if item["price"]["recurring"]["usage_type"] == "metered":
            continue
        lines.append(bills.new_line(w, price=item["price"], quantity=item["quantity"], sub=sub, item=item,
                                    period=period, trial=sub["status"] == "trialing"))  # fmt: skip
    return lines


def _add_invoice_items(w: Ledger, sub: Obj, p: Obj, lines: list[Obj]) -> None:
    for n, given in enumerate(p.get("add_invoice_items") or EMPTY):
        price = w.of("price", given.get("price", ""), f"add_invoice_items[{n}][price]")
        lines.append(bills.new_line(w, price=price, quantity=given.get("quantity", 1), sub=sub,
                                    period=(w.now, w.now), invoiceitem={"id": w.new_id("ii_")}))  # fmt: skip


def _first_payment(w: Ledger, sub: Obj, invoice: Obj, p: Obj, checkout: bool) -> None:
    behavior = p.get("payment_behavior", "allow_incomplete")
    if sub["collection_method"] == "send_invoice" and not sub["trial_end"]:
        return
    if sub["trial_end"] and invoice["amount_due"]:
        sub["status"] = "incomplete"  # something is to be paid up front; the trial begins then
    bills.finalize(w, invoice)
    if not invoice["amount_due"]:
        collection.settle(w, invoice)
        return
    if behavior == "default_incomplete":
        collection.prepare(w, invoice)
        return
    if collection.method_for(w, invoice) is None:
        raise invalid(
            "This customer has no attached payment source or default payment method. Please consider adding a "
            "default payment method. For more information, visit "
            "https://stripe.com/docs/billing/subscriptions/payment-methods-setting"
            "#payment-method-priority.", code="resource_missing")  # fmt: skip
    on_session = checkout or p.get("off_session") is False
    outcome = collection.collect(w, invoice, on_session=on_session)
    if outcome != OK and behavior == "error_if_incomplete":
        code = "authentication_required" if outcome == AUTHENTICATE else outcome
        error = payments.refusal(code)
        error.keep = False
        raise error


# -- read ------------------------------------------------------------------------------------------


def get_subscription(w: Ledger, _p: Obj, id_: str) -> Obj:
    """GET /v1/subscriptions/:id"""
    return w.get("subscription", id_)


def list_subscriptions(w: Ledger, p: Obj) -> Obj:
    """GET /v1/subscriptions; without `status` those that are not canceled."""
    status = p.get("status")

    def wanted(o: Obj) -> bool:
        if status == "ended":
            return o["status"] in ENDED
        return o["status"] != "canceled" if status is None else status in ("all", o["status"])

    return w.page("subscription", p, "/v1/subscriptions", lambda o: (
        wanted(o) and ("customer" not in p or o["customer"] == p["customer"])
        and ("price" not in p or any(i["price"]["id"] == p["price"] for i in o["items"]["data"]))
        and ("collection_method" not in p or o["collection_method"] == p["collection_method"])
        and (o["test_clock"] == p["test_clock"] if "test_clock" in p else
             o["test_clock"] is None or "customer" in p)
        and in_range(o["created"], p.get("created"))
        and in_range(earliest_end(o), p.get("current_period_end"))
    ))  # fmt: skip


# -- change ----------------------------------------------------------------------------------------


def living(w: Ledger, id_: str) -> Obj:
    """A subscription that can still change; an ended one is not there for that."""
    sub = w.get("subscription", id_)
    if sub["status"] in ENDED:
        raise no_such("subscription", id_)
    return sub


def update_subscription(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/subscriptions/:id"""
    sub = w.get("subscription", id_)
    if sub["status"] in ENDED and set(p) - {"metadata", "cancellation_details", "expand"}:
        raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
    w.touch(sub)
    assign(sub, p, "description", "days_until_due", "collection_method")
    merge_metadata(sub, p)
    for name in ("payment_settings", "cancellation_details", "invoice_settings"):
        if p.get(name):
            sub[name] = (sub[name] or NOTHING) | p[name]
    if end_behavior := (p.get("trial_settings") or NOTHING).get("end_behavior"):
        sub["trial_settings"]["end_behavior"] |= end_behavior
    if name := p.get("default_payment_method"):
        sub["default_payment_method"] = _method(w, sub["customer"], name)
    if "pause_collection" in p:
        given: Any = p["pause_collection"]
        sub["pause_collection"] = {"resumes_at": None} | given if given else None
    if "discounts" in p or p.get("coupon") or p.get("promotion_code"):
        sub["discounts"] = redeem(w, _discounts(p), customer=sub["customer"], sub=id_)
    _schedule_cancel(w, sub, p)
    _change_items(w, sub, p)
    _change_trial(w, sub, p)
    w.emit("customer.subscription.updated", sub)
    return sub


def _schedule_cancel(w: Ledger, sub: Obj, p: Obj) -> None:
    """`cancel_at_period_end` and `cancel_at`, on and off."""
    if "cancel_at_period_end" in p and p.get("cancel_at"):
        raise invalid("You can only pass one of cancel_at and cancel_at_period_end.", "cancel_at")
    ends = [int(i["current_period_end"]) for i in sub["items"]["data"]]
    named = {"min_period_end": min(ends), "max_period_end": max(ends), "max_billed_until": max(ends)}
    if p.get("cancel_at_period_end"):
        at: int | None = min(ends)
    elif p.get("cancel_at") not in (None, ""):
        at = named.get(str(p["cancel_at"])) or int(p["cancel_at"])
        if at <= w.now:
            raise invalid("cancel_at must be in the future", "cancel_at")
    elif "cancel_at_period_end" in p or p.get("cancel_at") == "":
        at = None
    else:
        return
    at_period_end = bool(p.get("cancel_at_period_end"))
    if at_period_end and sub["cancel_at_period_end"]:
        return
    sub |= {"cancel_at": at, "cancel_at_period_end": at_period_end, "canceled_at": w.now if at else None}
    sub["cancellation_details"]["reason"] = "cancellation_requested" if at else None
    if not at:
        sub["cancellation_details"] |= {"comment": None, "feedback": None}


def _change_items(w: Ledger, sub: Obj, p: Obj) -> None:
    """Prices and quantities, with what time is owed for them."""
    if not p.get("items"):
        return
    items: list[Obj] = sub["items"]["data"]
    old = [dict(item) for item in items]
    for n, given in enumerate(p["items"]):
        item = _item_named(items, given, n)
        if given.get("deleted"):
            items.remove(item or NOTHING)
        elif item is None:
            start, end = w.now, earliest_end(sub) if items else w.now
            items.append(new_item(w, sub["id"], given, (start, end), f"items[{n}]"))
        else:
            if given.get("price") or given.get("plan") or given.get("price_data"):
                item["price"] = dict(_price_for(w, given, f"items[{n}]"))
            if "quantity" in given:
                item["quantity"] = given["quantity"]
            merge_metadata(item, given)
    if not items:
        raise invalid("A subscription must have at least one active item.", "items")
    _bill_change(w, sub, old, p)


def _item_named(items: list[Obj], given: Obj, n: int) -> Obj | None:
    if "id" in given:
        for item in items:
            if item["id"] == given["id"]:
                return item
        raise no_such("subscription_item", given["id"], f"items[{n}][id]", 400)
    return None


def _interval(item: Obj) -> tuple[Any, Any]:
    return item["price"]["recurring"]["interval"], item["price"]["recurring"]["interval_count"]


def _bill_change(w: Ledger, sub: Obj, old: list[Obj], p: Obj) -> None:
    behavior = p.get("proration_behavior", "create_prorations")
    if sub["status"] not in ("active", "past_due"):
        return
    kept = {item["id"]: item for item in old}
    anew = p.get("billing_cycle_anchor") == {"type": "now"} or any(
        item["id"] in kept and _interval(item) != _interval(kept[item["id"]]) for item in sub["items"]["data"]
    )
    if behavior != "none":
        prorate(w, sub, old, [] if anew else sub["items"]["data"], int(p.get("proration_date") or w.now))
    if anew:
        collection.restart_periods(w, sub)
        lines = [_full_line(w, sub, item) for item in sub["items"]["data"]]
        invoice_now(w, sub, lines)
    elif behavior == "always_invoice":
        invoice_now(w, sub, [])


def _full_line(w: Ledger, sub: Obj, item: Obj) -> Obj:
    period = (item["current_period_start"], item["current_period_end"])
    return bills.new_line(w, price=item["price"], quantity=item.get("quantity", 0), sub=sub, item=item,
                          period=period)  # fmt: skip


def invoice_now(w: Ledger, sub: Obj, lines: list[Obj], reason: str = "subscription_update") -> str:
    """Bill at once: draft, finalize, collect."""
    invoice = collection.bill(w, sub, reason=reason, lines=lines)
    bills.finalize(w, invoice)
    return collection.collect(w, invoice)


def _change_trial(w: Ledger, sub: Obj, p: Obj) -> None:
    given = p.get("trial_end")
    if given is None:
        return
    if given == "now":
        if sub["status"] == "trialing":
            _end_trial_now(w, sub)
        return
    end = _trial_end(w, p)
    sub |= {"trial_end": end, "billing_cycle_anchor": end, "trial_start": sub["trial_start"] or w.now}
    if sub["status"] in ("active", "trialing"):
        sub["status"] = "trialing"
        for item in sub["items"]["data"]:
            item["current_period_end"] = end


def _end_trial_now(w: Ledger, sub: Obj) -> None:
    sub["trial_end"] = w.now
    warn_of_trial_end(w, sub)
    if ended_without_method(w, sub):
        return
    collection.restart_periods(w, sub)
    sub["status"] = "active"
    invoice_now(w, sub, [_full_line(w, sub, item) for item in sub["items"]["data"]])


# -- cancel, pause, resume -------------------------------------------------------------------------


def cancel_subscription(w: Ledger, p: Obj, id_: str) -> Obj:
    """DELETE /v1/subscriptions/:id"""
    sub = living(w, id_)
    w.touch(sub)
    sub["canceled_at"] = w.now
    if p.get("prorate") and sub["status"] == "active":
        prorate(w, sub, sub["items"]["data"], [], w.now)
    collection.end(w, sub, reason="cancellation_requested", details=p.get("cancellation_details"))
    return sub


def pause_subscription(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/subscriptions/:id/pause"""
    sub = living(w, id_)
    refusals = {
        "it is already paused": sub["status"] == "paused",
        "its status is incomplete": sub["status"] == "incomplete",
        "it is in a trial": sub["status"] == "trialing",
        "its billing_mode is not flexible": sub["billing_mode"]["type"] != "flexible",
        "its collection_method is not charge_automatically": sub["collection_method"] == "send_invoice",
        "it is managed by a schedule": bool(sub["schedule"]),
    }
    for why, so in refusals.items():
        if so:
            raise invalid(f"This subscription cannot be paused because {why}.", "subscription")
    unused = ((p.get("bill_for") or NOTHING).get("unused_time_from") or NOTHING).get("type", "now")
    if unused != "none" and sub["status"] == "active":
        since = w.now if unused == "now" else min(i["current_period_start"] for i in sub["items"]["data"])
        prorate(w, sub, sub["items"]["data"], [], since)
        if p.get("invoicing_behavior") == "invoice":
            invoice_now(w, sub, [])
    collection.pause(w, sub, "pause_requested")
    return sub


def resume_subscription(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/subscriptions/:id/resume"""
    sub = living(w, id_)
    if sub["status"] != "paused":
        raise invalid(f"This subscription cannot be resumed because it is not paused: it is {sub['status']}.",
                      "subscription")  # fmt: skip
    if w.notes.get(id_, NOTHING).get("resuming"):
        raise StripeError(400, "This subscription has a resumption invoice that is still open.")
    anchor = p.get("billing_cycle_anchor") or {"type": "now"}
    kind = anchor if isinstance(anchor, str) else anchor.get("type")
    if kind == "unchanged" and earliest_end(sub) > w.now:
        collection.come_back(w, sub)
        return sub
    behavior = p.get("payment_behavior") or (
        "resume_on_payment_attempt" if w.version >= "2026-09-30" else "before_endive"
    )
    _resume(w, sub, behavior)
    return sub


def _resume(w: Ledger, sub: Obj, behavior: str) -> None:
    later = behavior in RESUME_WITHIN
    before = [dict(item) for item in sub["items"]["data"]]
    anchor = sub["billing_cycle_anchor"]
    collection.restart_periods(w, sub)
    lines = [_full_line(w, sub, item) for item in sub["items"]["data"]]
    invoice = collection.bill(w, sub, reason="subscription_update", lines=lines)
    bills.finalize(w, invoice)
    if later and invoice["amount_due"]:
        sub["items"]["data"], sub["billing_cycle_anchor"] = before, anchor
        until = w.now + RESUME_WITHIN[behavior]
        w.note(sub["id"])["resuming"] = {"invoice": invoice["id"], "until": until, "later": True}
        sub["pending_update"] = {
            "billing_cycle_anchor": w.now, "discount": None, "discounts": None, "expires_at": until,
            "metadata": None, "subscription_items": None, "trial_end": None, "trial_from_plan": None,
        }  # fmt: skip
        w.emit("customer.subscription.updated", sub)
        if behavior == "before_endive":
            collection.collect(w, invoice)
        else:
            collection.prepare(w, invoice)
        return
    w.note(sub["id"])["resuming"] = {"invoice": invoice["id"], "until": None}
    if collection.collect(w, invoice) != OK:
        w.note(sub["id"]).pop("resuming", None)
        w.touch(sub)
        sub |= {"status": "past_due", "status_details": None}
        w.emit("customer.subscription.updated", sub)


# -- items as a resource ---------------------------------------------------------------------------


def _owner(w: Ledger, item: str) -> tuple[Obj, Obj]:
    sub = w.find("subscription", w.notes.get(item, NOTHING).get("subscription"))
    for each in (sub or {"items": {"data": []}})["items"]["data"]:
        if sub is not None and each["id"] == item:
            return w.get("subscription", sub["id"]), each
    raise no_such("subscription_item", item)


def create_subscription_item(w: Ledger, p: Obj) -> Obj:
    """POST /v1/subscription_items"""
    require(p, "subscription")
    sub = living(w, p["subscription"])
    given = {key: value for key, value in p.items() if key in ("price", "price_data", "quantity", "metadata")}
    update_subscription(w, {"items": [given]}, sub["id"])
    return sub["items"]["data"][-1]


def get_subscription_item(w: Ledger, _p: Obj, id_: str) -> Obj:
    """GET /v1/subscription_items/:id"""
    return _owner(w, id_)[1]


def update_subscription_item(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/subscription_items/:id"""
    sub, _item = _owner(w, id_)
    given = {key: p[key] for key in ("price", "price_data", "quantity", "metadata") if key in p}
    rest = {key: p[key] for key in ("proration_behavior", "proration_date", "payment_behavior") if key in p}
    update_subscription(w, {"items": [{"id": id_, **given}], **rest}, sub["id"])
    return _owner(w, id_)[1]


def delete_subscription_item(w: Ledger, _p: Obj, id_: str) -> Obj:
    """DELETE /v1/subscription_items/:id"""
    sub, _item = _owner(w, id_)
    update_subscription(w, {"items": [{"id": id_, "deleted": True}]}, sub["id"])
    return {"id": id_, "object": "subscription_item", "deleted": True}


def list_subscription_items(w: Ledger, p: Obj) -> Obj:
    """GET /v1/subscription_items"""
    require(p, "subscription")
    sub = w.of("subscription", p["subscription"], "subscription")
    return {"object": "list", "data": sub["items"]["data"], "has_more": False,
            "url": "/v1/subscription_items"}  # fmt: skip
