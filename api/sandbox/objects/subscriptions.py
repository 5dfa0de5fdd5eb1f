"""Subscriptions: create and read. Changes are in subscription_changes.py, what time does in lifecycle.py."""

from __future__ import annotations

from interlock.api.sandbox.core.cards import AUTHENTICATE, OK, PROCESSING
from interlock.api.sandbox.core.errors import EMPTY, Obj, StripeError, invalid
from interlock.api.sandbox.core.forms import cleared, require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.lists import in_range
from interlock.api.sandbox.core.periods import DAY, earliest_end, in_future, period_end
from interlock.api.sandbox.core.resource import Resource
from interlock.api.sandbox.objects import collection, drafts, invoice_document, payments
from interlock.api.sandbox.objects.amounts import amount_of
from interlock.api.sandbox.objects.discounts import Use, redeem
from interlock.api.sandbox.objects.planned_ends import schedule_cancel
from interlock.api.sandbox.objects.products import create_product, new_price, recurring_of, same_currency
from interlock.api.sandbox.objects.subscription_settings import (
    automatic_tax,
    billing_mode,
    check_intervals,
    trial_settings,
)
from interlock.api.sandbox.objects.trials import warn_of_trial_end

ENDED = ("canceled", "incomplete_expired")
TRIAL_DAYS_MAX = 730
BY_SCHEDULE = "by_schedule"
"""Made by a schedule: active at once, and its first invoice waits an hour as a renewal's does."""


def price_for(w: Ledger, given: Obj, param: str) -> Obj:
    """The price that an item names, or one made for it."""
    if data := given.get("price_data"):
        require(data, "currency", "recurring")
        product = data.get("product") or create_product(w, {"name": "Inline product"})["id"]
        w.of("product", product, f"{param}[price_data][product]")
        return w.put(new_price(w, data, product, recurring_of(w, data["recurring"]), active=False))
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


def quantity_of(given: Obj, param: str) -> int:
    """How many of an item, one where it is not said."""
    quantity = int(given.get("quantity", 1))
    if quantity < 0:
        raise invalid("This value must be greater than or equal to 0.", f"{param}[quantity]",
                      "parameter_invalid_integer")  # fmt: skip
    return quantity


def new_item(w: Ledger, sub: str, given: Obj, period: tuple[int, int], param: str) -> Obj:
    """One item of a subscription."""
    price = price_for(w, given, param)
    quantity = quantity_of(given, param)
    item = w.new(
        "subscription_item", "si_", given, current_period_end=period[1], current_period_start=period[0], discounts=[],
        price=dict(price), subscription=sub, tax_rates=[],
    )  # fmt: skip
    if price["recurring"]["usage_type"] != "metered":
        item["quantity"] = quantity
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
    discount(w, sub, p)
    _add_invoice_items(w, sub, p, lines)
    invoice = drafts.draft_invoice(w, sub, reason="subscription_create", lines=lines,
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


def discount(w: Ledger, sub: Obj, p: Obj) -> None:
    """Redeem what a request gives, by the present parameter or the older ones."""
    given: list[Obj] = list(p.get("discounts") or EMPTY)
    given += [{name: p[name]} for name in ("coupon", "promotion_code") if p.get(name)]
    amount = sum(amount_of(w, i["price"], i["quantity"]) for i in sub["items"]["data"] if "quantity" in i)
    use = Use(sub["customer"], amount, sub["currency"])
    sub["discounts"] = redeem(w, given, use, customer=sub["customer"], sub=sub["id"])


def trial_end_given(w: Ledger, p: Obj, param: str = "{}") -> int | None:
    """When the trial of a request ends, if it has one."""
    given, longest = p.get("trial_end"), w.now + TRIAL_DAYS_MAX * DAY
    if given not in (None, "now"):
        if in_future(int(given), w.now, param.format("trial_end")) > longest:
            raise invalid("Invalid timestamp: a trial can end no more than two years in the future.",
                          param.format("trial_end"))  # fmt: skip
        return int(given)
    days = int(p.get("trial_period_days") or 0)  # none is no trial
    if not 0 <= days <= TRIAL_DAYS_MAX:
        raise invalid(f"This value must be from 1 to {TRIAL_DAYS_MAX}.", param.format("trial_period_days"),
                      "parameter_invalid_integer")  # fmt: skip
    return w.now + days * DAY if days and given != "now" else None


def check_anchor(w: Ledger, p: Obj, prices: list[Obj], param: str = "{}") -> None:
    """Refuse a cycle that would begin later than one would by itself."""
    anchor, name = p.get("billing_cycle_anchor"), param.format("billing_cycle_anchor")
    if anchor is None:
        return
    start = trial_end_given(w, p, param) or w.now
    natural = min(period_end(price["recurring"], start, start) for price in prices)
    if in_future(anchor, w.now, name) > natural:
        raise invalid(f"billing_cycle_anchor cannot be later than next natural billing date ({natural}) for plan", name)


def _blank(w: Ledger, customer: Obj, p: Obj) -> Obj:
    trial_end = trial_end_given(w, p)
    collection_method = p.get("collection_method", "charge_automatically")
    if collection_method == "send_invoice" and "days_until_due" not in p:
        raise invalid("When creating a subscription with `collection_method=send_invoice`, you must specify "
                      "`days_until_due`.", "days_until_due")  # fmt: skip
    start = {"charge_automatically": "incomplete", "send_invoice": "active"}[collection_method]
    anchor = p.get("billing_cycle_anchor") or trial_end or w.now
    sub = w.new(
        "subscription", "sub_", p, ("days_until_due", "default_source", "description"),
        automatic_tax=automatic_tax(p), billing_cycle_anchor=anchor,
        billing_mode=billing_mode(w, p), billing_schedules=[], cancel_at_period_end=False,
        cancellation_details=dict.fromkeys(("comment", "feedback", "feedback_option", "reason")),
        collection_method=collection_method, currency="usd", customer=customer["id"], default_tax_rates=[],
        discounts=[], start_date=w.now, status="trialing" if trial_end else start,
        invoice_settings=dict.fromkeys(("account_tax_ids", "custom_fields", "description", "footer"))
        | {"issuer": {"type": "self"}},
        payment_settings={"payment_method_options": None, "payment_method_types": None,
                          "save_default_payment_method": "off"} | cleared(p.get("payment_settings")),
        test_clock=customer.get("test_clock"), trial_end=trial_end, trial_settings=trial_settings(p),
        trial_start=w.now if trial_end else None,
    )  # fmt: skip
    url = f"/v1/subscription_items?subscription={sub['id']}"
    sub |= {"items": {"object": "list", "data": [], "has_more": False, "url": url}}
    if name := p.get("default_payment_method"):
        sub["default_payment_method"] = own_method(w, customer["id"], name)
    items: list[Obj] = sub["items"]["data"]
    currency = p.get("currency")
    for n, given in enumerate(p["items"]):
        items.append(new_item(w, sub["id"], given, (w.now, trial_end or w.now), f"items[{n}]"))
        currency = same_currency(items[n]["price"], currency, f"items[{n}][price]")
    check_intervals(sub)
    check_anchor(w, p, [item["price"] for item in items])
    if "cancel_at_period_end" in p or "cancel_at" in p:
        _first_period(w, sub)
        schedule_cancel(w, sub, p)
    return sub


def own_method(w: Ledger, customer: str, name: str) -> str:
    """A payment method of this customer, and of no other."""
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
        lines.append(invoice_document.new_line(w, price=item["price"], quantity=item["quantity"], sub=sub, item=item,
                                    period=period, trial=sub["status"] == "trialing"))  # fmt: skip
    return lines


def _add_invoice_items(w: Ledger, sub: Obj, p: Obj, lines: list[Obj]) -> None:
    for n, given in enumerate(p.get("add_invoice_items") or EMPTY):
        price = w.of("price", given.get("price", ""), f"add_invoice_items[{n}][price]")
        same_currency(price, sub["currency"], f"add_invoice_items[{n}][price]")
        lines.append(invoice_document.new_line(w, price=price, quantity=given.get("quantity", 1), sub=sub,
                                    period=(w.now, w.now), invoiceitem={"id": w.new_id("ii_")}))  # fmt: skip


def _first_payment(w: Ledger, sub: Obj, invoice: Obj, p: Obj, checkout: bool) -> None:
    behavior = p.get("payment_behavior", "allow_incomplete")
    if behavior == BY_SCHEDULE and invoice["amount_due"]:
        due = w.now + invoice_document.DRAFT_FOR
        invoice |= {"auto_advance": True, "automatically_finalizes_at": due, "next_payment_attempt": due}
        sub["status"] = "active"
        return
    if sub["collection_method"] == "send_invoice" and not sub["trial_end"]:
        return
    if sub["trial_end"] and invoice["amount_due"]:
        sub["status"] = "incomplete"  # something is to be paid up front; the trial begins then
    invoice_document.finalize(w, invoice)
    if not invoice["amount_due"]:
        collection.mark_paid(w, invoice)
        return
    if behavior == "default_incomplete":
        collection.prepare(w, invoice)
        return
    if collection.method_for(w, invoice) is None:
        raise _unpaid(payments.NO_METHOD)
    on_session = checkout or p.get("off_session") is False
    insist(collection.collect(w, invoice, on_session=on_session), p)


def insist(outcome: str, p: Obj) -> None:
    """`error_if_incomplete`: what cannot be paid is refused, and nothing of it was."""
    if outcome not in (OK, PROCESSING) and p.get("payment_behavior") == "error_if_incomplete":
        raise _unpaid(outcome)


def _unpaid(outcome: str) -> StripeError:
    if outcome == payments.NO_METHOD:
        return invalid(
            "This customer has no attached payment source or default payment method. Please consider adding a "
            "default payment method. For more information, visit "
            "https://stripe.com/docs/billing/subscriptions/payment-methods-setting"
            "#payment-method-priority.", code="resource_missing")  # fmt: skip
    error = payments.refusal("authentication_required" if outcome == AUTHENTICATE else outcome)
    error.keep = False
    return error


def _wanted(_w: Ledger, o: Obj, p: Obj) -> bool:
    """Without `status` those that are not canceled; those on a test clock only when it or the customer is named."""
    status = p.get("status")
    if status == "ended":
        stands = o["status"] in ENDED
    else:
        stands = o["status"] != "canceled" if status is None else status in ("all", o["status"])
    clock = o["test_clock"] == p["test_clock"] if "test_clock" in p else o["test_clock"] is None or "customer" in p
    priced = "price" not in p or any(i["price"]["id"] == p["price"] for i in o["items"]["data"])
    return stands and clock and priced and in_range(earliest_end(o), p.get("current_period_end"))


ROUTES = Resource("subscription", "subscriptions", create_subscription, filters=("customer", "collection_method"),
                  where=_wanted).routes()  # fmt: skip
