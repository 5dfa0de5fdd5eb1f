"""Billing credits: grants and what is left of them, made and read; no invoice uses them up here."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import NOTHING, Obj, invalid
from interlock.api.sandbox.core.forms import require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.resource import Resource


def create_grant(w: Ledger, p: Obj) -> Obj:
    """POST /v1/billing/credit_grants"""
    require(p, "customer", "amount", "applicability_config", "category")
    customer = w.of("customer", p["customer"], "customer")
    money: Obj = p["amount"].get("monetary") or NOTHING
    if int(money.get("value") or 0) < 1:
        raise invalid("This value must be greater than or equal to 1.", "amount[monetary][value]")
    grant = w.new(
        "billing.credit_grant", "credgr_", p, ("category", "expires_at", "name"), customer=customer["id"],
        amount={"type": "monetary",
                "monetary": {"currency": str(money["currency"]).lower(), "value": int(money["value"])}},
        applicability_config=p["applicability_config"], effective_at=p.get("effective_at", w.now),
        priority=p.get("priority", 50), test_clock=customer.get("test_clock"), updated=w.now,
    )  # fmt: skip
    w.put(grant)
    w.emit("billing.credit_grant.created", grant)
    return grant


GRANTS = Resource("billing.credit_grant", "billing/credit_grants", create_grant, filters=("customer",))
ROUTES = GRANTS.routes()
