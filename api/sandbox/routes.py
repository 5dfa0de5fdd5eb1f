"""The API as a table, and the rules of time: both collected from the files of objects/."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from interlock.api.sandbox.core.errors import NOTHING
from interlock.api.sandbox.core.resource import Route, getter
from interlock.api.sandbox.core.rules import Rule
from interlock.api.sandbox.objects import (
    checkout_sessions,
    customers,
    discounts,
    events,
    invoice_items,
    invoices,
    lifecycle,
    meters,
    payment_intents,
    payment_methods,
    portal,
    products,
    setup_intents,
    subscription_changes,
    subscription_items,
    subscriptions,
    test_clocks,
    webhook_endpoints,
)

G, P, D = "GET", "POST", "DELETE"
_TABLE: tuple[tuple[str, str, str | None, Any], ...] = (
    (P, "customers", "customer_create", customers.create_customer),
    (G, "customers", "customer_list", customers.list_customers),
    (G, "customers/*", "customer_retrieve", customers.get_customer),
    (P, "customers/*", "customer_update", customers.update_customer),
    (D, "customers/*", "customer_delete", customers.delete_customer),
    (G, "customers/*/payment_methods", "customer_payment_method_list", payment_methods.list_customer_methods),
    (P, "customers/*/sources", None, customers.create_source),
    (P, "customers/*/sources/*", None, customers.update_source),
    (P, "products", "product_create", products.create_product),
    (G, "products", "product_list", products.list_products),
    (G, "products/*", "product_retrieve", getter("product")),
    (P, "products/*", "product_update", products.update_product),
    (D, "products/*", "product_delete", products.delete_product),
    (P, "prices", "price_create", products.create_price),
    (G, "prices", "price_list", products.list_prices),
    (G, "prices/*", "price_retrieve", getter("price")),
    (P, "prices/*", "price_update", products.update_price),
    (P, "coupons", "coupon_create", discounts.create_coupon),
    (G, "coupons", "coupon_list", discounts.list_coupons),
    (G, "coupons/*", "coupon_retrieve", getter("coupon")),
    (P, "coupons/*", "coupon_update", discounts.update_coupon),
    (D, "coupons/*", "coupon_delete", discounts.delete_coupon),
    (P, "promotion_codes", "promotion_code_create", discounts.create_promotion_code),
    (G, "promotion_codes", "promotion_code_list", discounts.list_promotion_codes),
    (G, "promotion_codes/*", "promotion_code_retrieve", getter("promotion_code")),
    (P, "promotion_codes/*", "promotion_code_update", discounts.update_promotion_code),
    (P, "billing/meters", "billing.meter_create", meters.create_meter),
    (G, "billing/meters", "billing.meter_list", meters.list_meters),
    (G, "billing/meters/*", "billing.meter_retrieve", getter("billing.meter")),
    (P, "billing/meter_events", "billing.meter_event_create", meters.create_meter_event),
    (P, "payment_methods", "payment_method_create", payment_methods.create_payment_method),
    (G, "payment_methods", "payment_method_list", payment_methods.list_payment_methods),
    (G, "payment_methods/*", "payment_method_retrieve", payment_methods.get_payment_method),
    (P, "payment_methods/*", "payment_method_update", payment_methods.update_payment_method),
    (P, "payment_methods/*/attach", "payment_method_attach", payment_methods.attach_payment_method),
    (P, "payment_methods/*/detach", "payment_method_detach", payment_methods.detach_payment_method),
    (P, "setup_intents", "setup_intent_create", setup_intents.create_setup_intent),
    (G, "setup_intents/*", "setup_intent_retrieve", getter("setup_intent")),
    (P, "setup_intents/*/confirm", "setup_intent_confirm", setup_intents.confirm_setup_intent),
    (P, "setup_intents/*/cancel", "setup_intent_cancel", setup_intents.cancel_setup_intent),
    (P, "payment_intents", "payment_intent_create", payment_intents.create_payment_intent),
    (G, "payment_intents", "payment_intent_list", payment_intents.list_payment_intents),
    (G, "payment_intents/*", "payment_intent_retrieve", payment_intents.get_payment_intent),
    (P, "payment_intents/*", "payment_intent_update", payment_intents.update_payment_intent),
    (P, "payment_intents/*/confirm", "payment_intent_confirm", payment_intents.confirm_payment_intent),
    (P, "payment_intents/*/cancel", "payment_intent_cancel", payment_intents.cancel_payment_intent),
    (P, "payment_intents/*/capture", "payment_intent_capture", payment_intents.capture_payment_intent),
    (G, "charges", None, payment_intents.list_charges),
    (G, "charges/*", None, payment_intents.get_charge),
    (P, "checkout/sessions", "checkout.session_create", checkout_sessions.create_session),
    (G, "checkout/sessions", "checkout.session_list", checkout_sessions.list_sessions),
    (G, "checkout/sessions/*", "checkout.session_retrieve", checkout_sessions.get_session),
    (G, "checkout/sessions/*/line_items", "checkout.session_line_item_list", checkout_sessions.line_items),
    (P, "checkout/sessions/*/expire", "checkout.session_expire", checkout_sessions.expire),
    (P, "billing_portal/sessions", "billing_portal.session_create", portal.create_session),
    (P, "billing_portal/configurations", "billing_portal.configuration_create", portal.create_configuration),
    (G, "billing_portal/configurations", "billing_portal.configuration_list", portal.list_configurations),
    (G, "billing_portal/configurations/*", "billing_portal.configuration_retrieve", portal.get_configuration),
    (P, "billing_portal/configurations/*", "billing_portal.configuration_update",
     portal.update_configuration),
    (P, "subscriptions", "subscription_create", subscriptions.create_subscription),
    (G, "subscriptions", "subscription_list", subscriptions.list_subscriptions),
    (G, "subscriptions/*", "subscription_retrieve", subscriptions.get_subscription),
    (P, "subscriptions/*", "subscription_update", subscription_changes.update_subscription),
    (D, "subscriptions/*", "subscription_cancel", subscription_changes.cancel_subscription),
    (P, "subscriptions/*/pause", "subscription_pause", subscription_changes.pause_subscription),
    (P, "subscriptions/*/resume", "subscription_resume", subscription_changes.resume_subscription),
    (P, "subscription_items", "subscription_item_create", subscription_items.create_subscription_item),
    (G, "subscription_items", "subscription_item_list", subscription_items.list_subscription_items),
    (G, "subscription_items/*", "subscription_item_retrieve", subscription_items.get_subscription_item),
    (P, "subscription_items/*", "subscription_item_update", subscription_items.update_subscription_item),
    (D, "subscription_items/*", "subscription_item_delete", subscription_items.delete_subscription_item),
    (P, "invoices", "invoice_create", invoices.create_invoice),
    (G, "invoices", "invoice_list", invoices.list_invoices),
    (P, "invoices/create_preview", "invoice_create_preview", invoices.create_preview),
    (G, "invoices/*", "invoice_retrieve", invoices.get_invoice),
    (P, "invoices/*", "invoice_update", invoices.update_invoice),
    (D, "invoices/*", "invoice_delete", invoices.delete_invoice),
    (G, "invoices/*/lines", "invoice_line_item_list", invoices.list_lines),
    (P, "invoices/*/finalize", "invoice_finalize_invoice", invoices.finalize_invoice),
    (P, "invoices/*/pay", "invoice_pay", invoices.pay_invoice),
    (P, "invoices/*/send", "invoice_send_invoice", invoices.send_invoice),
    (P, "invoices/*/void", "invoice_void_invoice", invoices.void_invoice),
    (P, "invoices/*/mark_uncollectible", "invoice_mark_uncollectible", invoices.mark_uncollectible),
    (G, "invoice_payments", "invoice_payment_list", invoices.list_payments),
    (G, "invoice_payments/*", "invoice_payment_retrieve", invoices.get_payment),
    (P, "invoiceitems", "invoice_item_create", invoice_items.create_invoiceitem),
    (G, "invoiceitems", "invoice_item_list", invoice_items.list_invoiceitems),
    (G, "invoiceitems/*", "invoice_item_retrieve", invoice_items.get_invoiceitem),
    (P, "invoiceitems/*", "invoice_item_update", invoice_items.update_invoiceitem),
    (D, "invoiceitems/*", "invoice_item_delete", invoice_items.delete_invoiceitem),
    (G, "events", "event_list", events.list_events),
    (G, "events/*", "event_retrieve", events.get_event),
    (P, "webhook_endpoints", "webhook_endpoint_create", webhook_endpoints.create_endpoint),
    (G, "webhook_endpoints", "webhook_endpoint_list", webhook_endpoints.list_endpoints),
    (G, "webhook_endpoints/*", "webhook_endpoint_retrieve", webhook_endpoints.get_endpoint),
    (P, "webhook_endpoints/*", "webhook_endpoint_update", webhook_endpoints.update_endpoint),
    (D, "webhook_endpoints/*", "webhook_endpoint_delete", webhook_endpoints.delete_endpoint),
    (P, "test_helpers/test_clocks", "test_helpers.test_clock_create", test_clocks.create_clock),
    (G, "test_helpers/test_clocks", "test_helpers.test_clock_list", test_clocks.list_clocks),
    (G, "test_helpers/test_clocks/*", "test_helpers.test_clock_retrieve", test_clocks.get_clock),
    (D, "test_helpers/test_clocks/*", "test_helpers.test_clock_delete", test_clocks.delete_clock),
    (P, "test_helpers/test_clocks/*/advance", "test_helpers.test_clock_advance", test_clocks.advance_clock),
)  # fmt: skip


MODULES: tuple[ModuleType, ...] = (
    customers, products, discounts, meters, payment_methods, setup_intents, payment_intents, checkout_sessions, portal,
    subscriptions, subscription_changes, subscription_items, lifecycle, invoices, invoice_items, events,
    webhook_endpoints, test_clocks,
)  # fmt: skip
"""Every file of objects/ that has routes or rules of time: what it says in its own `ROUTES` and `RULES` is added."""


def _routes() -> Iterator[Route]:
    rows = [*(Route(*row) for row in _TABLE)]
    for module in MODULES:
        rows += getattr(module, "ROUTES", ())
    for row in rows:
        yield row._replace(path=f"/v1/{row.path}")


def _rules() -> dict[str, tuple[Rule, ...]]:
    rules: dict[str, tuple[Rule, ...]] = {}
    for module in MODULES:
        for kind, more in getattr(module, "RULES", NOTHING).items():
            rules[kind] = rules.get(kind, ()) + more
    return rules


ROUTES = tuple(_routes())
RULES = _rules()
"""What time does, by the kind of object."""
_PATTERNS = [
    (route, re.compile("^" + route.path.replace("*", "([^/]+)") + "$")) for route in ROUTES
]  # an exact path stands before the pattern that would match it too


def find_route(method: str, path: str) -> tuple[Route | None, tuple[str, ...]]:
    """The route of a call, and the ids in its path."""
    for route, pattern in _PATTERNS:
        if route.method == method and (match := pattern.match(path)):
            return route, match.groups()
    return None, ()
