"""What a resource declares: its routes, and a row for what all do alike: get, list, update and delete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from interlock.api.sandbox.core.errors import Obj
from interlock.api.sandbox.core.forms import assign, merge_metadata
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.lists import in_range, same

Handler = Callable[..., Obj]
Include = Callable[[Ledger, Obj], Any]
"""What `expand[]` puts into an object: (ledger, object) → the value."""


class Route(NamedTuple):
    """One route. `path` stands below /v1/, or begins with /v2/, `*` for an id; `endpoint` names the SDK's parameters.

    `endpoint` is as `customer_create` or `checkout.session_create`: the parameters are those of
    `stripe.params.CustomerCreateParams`, `stripe.params.checkout.SessionCreateParams`. None takes any.
    The handler is called with the ledger, the checked parameters, and the ids in the path.
    """

    method: str
    path: str
    endpoint: str | None
    handler: Handler


def _anything(_w: Ledger, _obj: Obj, _p: Obj) -> bool:
    return True


def _no_more(_w: Ledger, _obj: Obj, _p: Obj) -> None:
    pass


@dataclass(frozen=True)
class Resource:
    """A row for a kind of object that is got, listed, updated and deleted as most are.

    `routes()` makes the routes: get and list always; create where a handler is given; update where fields are
    `settable`, or more is done in `change`; delete where `delete` says what refuses it or follows it. Events are
    emitted where `events` names them (`coupon` for coupon.updated and coupon.deleted); a handler of `create` emits
    its own.
    """

    kind: str
    path: str
    create: Handler | None = None
    settable: tuple[str, ...] | None = None
    """Plain fields of an update; metadata always is."""
    change: Callable[[Ledger, Obj, Obj], None] = _no_more
    """What an update does beside: (ledger, object, parameters)."""
    filters: tuple[str, ...] = ()
    """Parameters of a list that a field must equal; `created` always is one where the object has it."""
    where: Callable[[Ledger, Obj, Obj], bool] = _anything
    """What a list asks beside: (ledger, object, parameters)."""
    delete: Callable[[Ledger, Obj], None] | None = None
    events: str | None = None
    endpoint: str = ""
    """The SDK's name where it is not the kind's."""

    def get(self, w: Ledger, _p: Obj, id_: str) -> Obj:
        """GET /v1/…/:id"""
        return w.get(self.kind, id_)

    def list(self, w: Ledger, p: Obj) -> Obj:
        """GET /v1/…: a page of those that the parameters ask for."""

        def wanted(o: Obj) -> bool:
            made = int(o.get("created") or o.get("date") or 0)
            return in_range(made, p.get("created")) and same(o, p, *self.filters) and self.where(w, o, p)

        return w.page(self.kind, p, f"/v1/{self.path}", wanted)

    def update(self, w: Ledger, p: Obj, id_: str) -> Obj:
        """POST /v1/…/:id"""
        obj = w.touch(w.get(self.kind, id_))
        assign(obj, p, *(self.settable or ()))
        merge_metadata(obj, p)
        self.change(w, obj, p)
        if "updated" in obj:
            obj["updated"] = w.now
        if self.events:
            w.emit(f"{self.events}.updated", obj)
        return obj

    def remove(self, w: Ledger, _p: Obj, id_: str) -> Obj:
        """DELETE /v1/…/:id; a stub is left."""
        obj = w.get(self.kind, id_)
        assert self.delete is not None, "no route leads here"
        self.delete(w, obj)
        if self.events:
            w.emit(f"{self.events}.deleted", obj)
        return w.replace(obj, {"id": id_, "object": self.kind, "deleted": True})

    def routes(self, *more: tuple[str, str, str | None, Any]) -> tuple[Route, ...]:
        """The routes of this row, and `more` of the resource's own, which go before those of the row."""
        name = self.endpoint or self.kind
        one = f"{self.path}/*"
        rows = [Route("GET", self.path, f"{name}_list", self.list), Route("GET", one, f"{name}_retrieve", self.get)]
        if self.create is not None:
            rows.append(Route("POST", self.path, f"{name}_create", self.create))
        if self.settable is not None:
            rows.append(Route("POST", one, f"{name}_update", self.update))
        if self.delete is not None:
            rows.append(Route("DELETE", one, f"{name}_delete", self.remove))
        rows += [Route(*row) for row in more]
        return tuple({(row.method, row.path): row for row in rows}.values())
