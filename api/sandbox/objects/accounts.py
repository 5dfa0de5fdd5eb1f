"""The account itself, so that a client can tell whose key it has."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import Obj
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.resource import Route


def get_account(w: Ledger, _p: Obj) -> Obj:
    """GET /v1/account"""
    return {
        "id": w.account_id, "object": "account", "business_type": None, "charges_enabled": True, "country": "US",
        "default_currency": "usd", "details_submitted": True, "email": "sandbox@interlock.example",
        "metadata": {}, "payouts_enabled": True, "settings": None, "type": "standard",
    }  # fmt: skip


ROUTES = (Route("GET", "account", "account_retrieve_current", get_account),)
