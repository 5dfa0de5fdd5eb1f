"""What a resource tells of itself: its routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from interlock.api.sandbox.core.errors import Obj
from interlock.api.sandbox.core.ledger import Ledger

Handler = Callable[..., Obj]


class Route(NamedTuple):
    """One route. `path` stands below /v1/, with `*` for an id; `endpoint` names the SDK's parameters.

    `endpoint` is as `customer_create` or `checkout.session_create`: the parameters are those of
    `stripe.params.CustomerCreateParams`, `stripe.params.checkout.SessionCreateParams`. None takes any.
    The handler is called with the ledger, the checked parameters, and the ids in the path.
    """

    method: str
    path: str
    endpoint: str | None
    handler: Handler


def getter(kind: str) -> Handler:
    """The handler that only gets an object."""

    def get(w: Ledger, _p: Obj, id_: str) -> Obj:
        return w.get(kind, id_)

    return get
