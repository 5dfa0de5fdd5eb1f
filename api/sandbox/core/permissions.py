"""What a restricted key may do: which permission each path needs, and Stripe's refusal that names it."""

from __future__ import annotations

from collections.abc import Collection

from interlock.api.sandbox.core.errors import StripeError, shown_key

# The first row whose path is the beginning of the call's. Prices are still called plans there.
_RESOURCES: tuple[tuple[str, str], ...] = (
    ("/v1/account", "accounts_kyc_basic"),
    ("/v1/billing/meter_event", "billing_meter_event"),
    ("/v1/billing/meters", "billing_meter"),
    ("/v1/billing_portal/", "customer_portal"),
    ("/v1/charges", "charge"),
    ("/v1/checkout/sessions", "checkout_session"),
    ("/v1/coupons", "coupon"),
    ("/v1/credit_notes", "credit_note"),
    ("/v1/customers", "customer"),
    ("/v1/entitlements/", "entitlement"),
    ("/v1/events", "event"),
    ("/v1/invoice", "invoice"),
    ("/v1/payment_intents", "payment_intent"),
    ("/v1/payment_methods", "payment_method"),
    ("/v1/prices", "plan"),
    ("/v1/products", "product"),
    ("/v1/promotion_codes", "promotion_code"),
    ("/v1/refunds", "charge"),
    ("/v1/setup_intents", "setup_intent"),
    ("/v1/subscription", "subscription"),
    ("/v1/webhook_endpoints", "webhook"),
)
PERMISSIONS = frozenset(f"{resource}_{access}" for _, resource in _RESOURCES for access in ("read", "write"))


def needed(method: str, path: str) -> str | None:
    """The permission that a call needs, as `checkout_session_write`; None for what every key may do."""
    resource = next((name for begins, name in _RESOURCES if path.startswith(begins)), None)
    return f"{resource}_{'read' if method == 'GET' else 'write'}" if resource else None


def refusal(key: str, account: str, method: str, path: str, denied: Collection[str]) -> StripeError | None:
    """Stripe's 403 where a restricted key lacks the permission. Who may not read may not write either."""
    permission = needed(method, path)
    if not key.startswith("rk_") or permission is None:
        return None
    if permission not in denied and permission.replace("_write", "_read") not in denied:
        return None
    return StripeError(
        403,
        f"The provided key '{shown_key(key)}' does not have the required permissions for this endpoint on account "
        f"'{account}'. Having the 'rak_{permission}' permission would allow this request to continue.",
    )
