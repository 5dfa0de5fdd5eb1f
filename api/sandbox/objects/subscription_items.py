"""Subscription items as a resource."""

from __future__ import annotations

from interlock.api.sandbox.core.errors import NOTHING, Obj, no_such
from interlock.api.sandbox.core.forms import require
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.resource import Route
from interlock.api.sandbox.objects.subscription_changes import living, update_subscription

_OF_THE_ITEM = ("price", "plan", "price_data", "quantity", "metadata")
_OF_ITS_BILL = ("proration_behavior", "proration_date", "payment_behavior")


def _only(p: Obj, names: tuple[str, ...]) -> Obj:
    return {key: p[key] for key in names if key in p}


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
    update_subscription(w, {"items": [_only(p, _OF_THE_ITEM)]} | _only(p, _OF_ITS_BILL), sub["id"])
    return sub["items"]["data"][-1]


def get_subscription_item(w: Ledger, _p: Obj, id_: str) -> Obj:
    """GET /v1/subscription_items/:id"""
    return _owner(w, id_)[1]


def update_subscription_item(w: Ledger, p: Obj, id_: str) -> Obj:
    """POST /v1/subscription_items/:id"""
    sub, _item = _owner(w, id_)
    update_subscription(w, {"items": [{"id": id_} | _only(p, _OF_THE_ITEM)]} | _only(p, _OF_ITS_BILL), sub["id"])
    return _owner(w, id_)[1]


def delete_subscription_item(w: Ledger, p: Obj, id_: str) -> Obj:
    """DELETE /v1/subscription_items/:id"""
    sub, _item = _owner(w, id_)
    update_subscription(w, {"items": [{"id": id_, "deleted": True}]} | _only(p, _OF_ITS_BILL), sub["id"])
    return {"id": id_, "object": "subscription_item", "deleted": True}


def list_subscription_items(w: Ledger, p: Obj) -> Obj:
    """GET /v1/subscription_items"""
    require(p, "subscription")
    sub = w.of("subscription", p["subscription"], "subscription")
    return {"object": "list", "data": sub["items"]["data"], "has_more": False,
            "url": "/v1/subscription_items"}  # fmt: skip


ROUTES = (
    Route("POST", "subscription_items", "subscription_item_create", create_subscription_item),
    Route("GET", "subscription_items", "subscription_item_list", list_subscription_items),
    Route("GET", "subscription_items/*", "subscription_item_retrieve", get_subscription_item),
    Route("POST", "subscription_items/*", "subscription_item_update", update_subscription_item),
    Route("DELETE", "subscription_items/*", "subscription_item_delete", delete_subscription_item),
)
