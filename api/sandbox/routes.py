"""The API as a table: method and path → the endpoint whose parameters the SDK annotates, and the handler."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from . import (
    catalog,
    changes,
    checkout,
    customers,
    discounts,
    hooks,
    intents,
    invoices,
    portal,
    subscriptions,
)
from .errors import Obj
from .ledger import Ledger

Handler = Callable[..., Obj]


class Route(NamedTuple):
    """`endpoint` names the SDK's parameters; None takes any."""

    method: str
    path: str
    endpoint: str | None
    handler: Handler


def _get(kind: str) -> Handler:
    def handler(w: Ledger, _p: Obj, id_: str) -> Obj:
        return w.get(kind, id_)

    return handler


G, P, D = "GET", "POST", "DELETE"
_TABLE: tuple[tuple[str, str, str | None, Any], ...] = (
    (P, "customers", "customer_create", customers.create_customer),
    (G, "customers", "customer_list", customers.list_customers),
    (G, "customers/*", "customer_retrieve", customers.get_customer),
    (P, "customers/*", "customer_update", customers.update_customer),
    (D, "customers/*", "customer_delete", customers.delete_customer),
    (G, "customers/*/payment_methods", "customer_payment_method_list", customers.list_customer_methods),
    (P, "customers/*/sources", None, customers.create_source),
    (P, "customers/*/sources/*", None, customers.update_source),
    (P, "products", "product_create", catalog.create_product),
    (G, "products", "product_list", catalog.list_products),
    (G, "products/*", "product_retrieve", _get("product")),
    (P, "products/*", "product_update", catalog.update_product),
    (D, "products/*", "product_delete", catalog.delete_product),
    (P, "prices", "price_create", catalog.create_price),
    (G, "prices", "price_list", catalog.list_prices),
    (G, "prices/*", "price_retrieve", _get("price")),
    (P, "prices/*", "price_update", catalog.update_price),
    (P, "coupons", "coupon_create", discounts.create_coupon),
    (G, "coupons", "coupon_list", discounts.list_coupons),
    (G, "coupons/*", "coupon_retrieve", _get("coupon")),
    (P, "coupons/*", "coupon_update", discounts.update_coupon),
    (D, "coupons/*", "coupon_delete", discounts.delete_coupon),
    (P, "promotion_codes", "promotion_code_create", discounts.create_promotion_code),
    (G, "promotion_codes", "promotion_code_list", discounts.list_promotion_codes),
    (G, "promotion_codes/*", "promotion_code_retrieve", _get("promotion_code")),
    (P, "promotion_codes/*", "promotion_code_update", discounts.update_promotion_code),
    (P, "billing/meters", "billing.meter_create", catalog.create_meter),
    (G, "billing/meters", "billing.meter_list", catalog.list_meters),
    (G, "billing/meters/*", "billing.meter_retrieve", _get("billing.meter")),
    (P, "billing/meter_events", "billing.meter_event_create", catalog.create_meter_event),
    (P, "payment_methods", "payment_method_create", customers.create_payment_method),
    (G, "payment_methods", "payment_method_list", customers.list_payment_methods),
    (G, "payment_methods/*", "payment_method_retrieve", customers.get_payment_method),
    (P, "payment_methods/*", "payment_method_update", customers.update_payment_method),
    (P, "payment_methods/*/attach", "payment_method_attach", customers.attach_payment_method),
    (P, "payment_methods/*/detach", "payment_method_detach", customers.detach_payment_method),
    (P, "setup_intents", "setup_intent_create", customers.create_setup_intent),
    (G, "setup_intents/*", "setup_intent_retrieve", _get("setup_intent")),
    (P, "setup_intents/*/confirm", "setup_intent_confirm", customers.confirm_setup_intent),
    (P, "setup_intents/*/cancel", "setup_intent_cancel", customers.cancel_setup_intent),
    (P, "payment_intents", "payment_intent_create", intents.create_payment_intent),
    (G, "payment_intents", "payment_intent_list", intents.list_payment_intents),
    (G, "payment_intents/*", "payment_intent_retrieve", intents.get_payment_intent),
    (P, "payment_intents/*", "payment_intent_update", intents.update_payment_intent),
    (P, "payment_intents/*/confirm", "payment_intent_confirm", intents.confirm_payment_intent),
    (P, "payment_intents/*/cancel", "payment_intent_cancel", intents.cancel_payment_intent),
    (P, "payment_intents/*/capture", "payment_intent_capture", intents.capture_payment_intent),
    (G, "charges", None, intents.list_charges),
    (G, "charges/*", None, intents.get_charge),
    (P, "checkout/sessions", "checkout.session_create", checkout.create_session),
    (G, "checkout/sessions", "checkout.session_list", checkout.list_sessions),
    (G, "checkout/sessions/*", "checkout.session_retrieve", checkout.get_session),
    (G, "checkout/sessions/*/line_items", "checkout.session_line_item_list", checkout.line_items),
    (P, "checkout/sessions/*/expire", "checkout.session_expire", checkout.expire),
    (P, "billing_portal/sessions", "billing_portal.session_create", portal.create_session),
    (P, "billing_portal/configurations", "billing_portal.configuration_create", portal.create_configuration),
    (G, "billing_portal/configurations", "billing_portal.configuration_list", portal.list_configurations),
    (G, "billing_portal/configurations/*", "billing_portal.configuration_retrieve", portal.get_configuration),
    (P, "billing_portal/configurations/*", "billing_portal.configuration_update",
     portal.update_configuration),
    (P, "subscriptions", "subscription_create", subscriptions.create_subscription),
    (G, "subscriptions", "subscription_list", subscriptions.list_subscriptions),
    (G, "subscriptions/*", "subscription_retrieve", subscriptions.get_subscription),
    (P, "subscriptions/*", "subscription_update", changes.update_subscription),
    (D, "subscriptions/*", "subscription_cancel", changes.cancel_subscription),
    (P, "subscriptions/*/pause", "subscription_pause", changes.pause_subscription),
    (P, "subscriptions/*/resume", "subscription_resume", changes.resume_subscription),
    (P, "subscription_items", "subscription_item_create", changes.create_subscription_item),
    (G, "subscription_items", "subscription_item_list", changes.list_subscription_items),
    (G, "subscription_items/*", "subscription_item_retrieve", changes.get_subscription_item),
    (P, "subscription_items/*", "subscription_item_update", changes.update_subscription_item),
    (D, "subscription_items/*", "subscription_item_delete", changes.delete_subscription_item),
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
    (P, "invoiceitems", "invoice_item_create", invoices.create_invoiceitem),
    (G, "invoiceitems", "invoice_item_list", invoices.list_invoiceitems),
    (G, "invoiceitems/*", "invoice_item_retrieve", invoices.get_invoiceitem),
    (P, "invoiceitems/*", "invoice_item_update", invoices.update_invoiceitem),
    (D, "invoiceitems/*", "invoice_item_delete", invoices.delete_invoiceitem),
    (G, "events", "event_list", hooks.list_events),
    (G, "events/*", "event_retrieve", hooks.get_event),
    (P, "webhook_endpoints", "webhook_endpoint_create", hooks.create_endpoint),
    (G, "webhook_endpoints", "webhook_endpoint_list", hooks.list_endpoints),
    (G, "webhook_endpoints/*", "webhook_endpoint_retrieve", hooks.get_endpoint),
    (P, "webhook_endpoints/*", "webhook_endpoint_update", hooks.update_endpoint),
    (D, "webhook_endpoints/*", "webhook_endpoint_delete", hooks.delete_endpoint),
    (P, "test_helpers/test_clocks", "test_helpers.test_clock_create", hooks.create_clock),
    (G, "test_helpers/test_clocks", "test_helpers.test_clock_list", hooks.list_clocks),
    (G, "test_helpers/test_clocks/*", "test_helpers.test_clock_retrieve", hooks.get_clock),
    (D, "test_helpers/test_clocks/*", "test_helpers.test_clock_delete", hooks.delete_clock),
    (P, "test_helpers/test_clocks/*/advance", "test_helpers.test_clock_advance", hooks.advance_clock),
)  # fmt: skip

ROUTES: tuple[Route, ...] = tuple(
    Route(method, f"/v1/{path}", endpoint, handler) for method, path, endpoint, handler in _TABLE
)
_PATTERNS = [
    (route, re.compile("^" + route.path.replace("*", "([^/]+)") + "$")) for route in ROUTES
]  # an exact path stands before the pattern that would match it too


def find_route(method: str, path: str) -> tuple[Route | None, tuple[str, ...]]:
    """The route of a call, and the ids in its path."""
    for route, pattern in _PATTERNS:
        if route.method == method and (match := pattern.match(path)):
            return route, match.groups()
    return None, ()
