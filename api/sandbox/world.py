"""The stand-in's core: an API call in, an answer and events out; time passes only when asked to.

    world = World(seed=1, now=1_800_000_000)
    answer = world.request("POST", "/v1/customers", {"email": "a@example.com"})
    world.advance(world.time + 86_400)
    world.events()      # full Event objects, oldest first

Pure: no clock, no I/O, no randomness but the seed's. Deliveries that are due stand in `world.outbox`;
the carrier that makes them reports how each went.

What a file of objects/ uses (`w` is the world, seen as its base class `Ledger`):
    w.now                    the time of the object at hand: its test clock's, else the world's (`w.time`)
    w.new(kind, "sub_", p, names, **fields)      a new object: all that Stripe shows of its kind is in it, empty,
                             then metadata and `names` from the parameters `p`, then `fields`; not kept yet
    w.put(obj)               keep it; w.new_id("sub_"): the next id
    w.get(kind, id)          the object, or 404; w.of(kind, id, param): the object that a parameter names, or 400
    w.find(kind, id)         the object, or None; w.all(kind): the living ones, oldest first
    w.touch(obj)             before each change of an object: gives it back; makes undo and previous_attributes
    w.note(id)               a hash of what Stripe would not show about an object, to change; w.notes[id]: to read
    w.emit(type, obj)        an event about the object as it is now; `*.updated` says nothing when nothing changed
    w.replace(obj, stub), w.forget(kind, obj)     deleted with a stub, or without a trace
    w.page(kind, params, url, where)              a list's page
Refusals are raised: `errors.invalid(message, param, code)` and its neighbours; all of the request is then undone.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

from interlock.api.sandbox.core import permissions
from interlock.api.sandbox.core.answers import KeptAnswers, WorldAnswer, mark_of
from interlock.api.sandbox.core.errors import EMPTY, NOTHING, Obj, StripeError, invalid, unknown_route
from interlock.api.sandbox.core.params import check, versions
from interlock.api.sandbox.core.shapes import API_VERSION, expanded, is_legacy, rendered
from interlock.api.sandbox.objects import schedule_phases
from interlock.api.sandbox.operations import Operations
from interlock.api.sandbox.routes import INCLUDES, find_route

CLOVER = "2025-09-30"
"""Before this version, which a call without one may mean, a schedule's phase had `iterations`."""

__all__ = ["World", "WorldAnswer"]

SINCE_BASIL = frozenset({("invoice", "payments"), ("invoice", "confirmation_secret")})


class World(Operations):
    """The ledger with its doors: requests, clicks on pages, and the passing of time."""

    def __init__(self, *, seed: int = 0, now: int = 0, public_url: str = "http://127.0.0.1:8001") -> None:
        super().__init__(seed=seed, now=now, public_url=public_url)
        self.answers = KeptAnswers()

    # -- requests ----------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        version: str | None = None,
        key: str = "sk_test_",
        struck: StripeError | None = None,
    ) -> WorldAnswer:
        """One call of Stripe's API. `params` are nested, with typed or textual values.

        `struck` is what goes wrong at Stripe after the call has run: it is answered, and kept under the
        idempotency key, and what was done stays.
        """
        given = dict(params or NOTHING)
        if "phases" in given and (version or "") < CLOVER:
            given = schedule_phases.without_iterations(self, given)
        self.key = key
        request_id = self.new_id("req_")
        headers = {"request-id": request_id, "stripe-version": version or API_VERSION}
        cause: Obj = {"id": request_id, "idempotency_key": idempotency_key}
        if version and version not in versions():
            headers["stripe-version"] = API_VERSION
            return self.refused(invalid(f"Invalid Stripe API version: {version}"), headers)
        if refusal := permissions.refusal(key, self.account_id, method, path, self.account["denied"]):
            return self.refused(refusal, headers)
        if not idempotency_key or method != "POST":
            return self._seen(method, path, self._answer(method, path, given, cause, headers, struck))
        headers["idempotency-key"] = idempotency_key
        mark = mark_of(method, path, given)
        answer = self.answers.replay(idempotency_key, mark, self.time, headers)
        if answer is None:
            answer = self._answer(method, path, given, cause, headers, struck)
            self.answers.keep(idempotency_key, mark, self.time, answer)
        return self._seen(method, path, answer)

    def refused(self, error: StripeError, headers: dict[str, str] | None = None) -> WorldAnswer:
        """The answer to what never came to a resource: a bad key, a rate limit, a missing permission."""
        answer = WorldAnswer(error.status, error.body, headers or {"request-id": self.new_id("req_")})
        return self._seen("what is refused before it comes to", "a resource", answer)

    def _seen(self, method: str, path: str, answer: WorldAnswer) -> WorldAnswer:
        if self.observer is not None:
            self.observer.answered(f"{method} {path}", answer)
        return answer

    def _answer(
        self, method: str, path: str, given: Obj, cause: Obj, headers: dict[str, str], struck: StripeError | None
    ) -> WorldAnswer:
        def run() -> Obj:
            self.version = headers["stripe-version"]
            route, ids = find_route(method, path)
            if route is None:
                raise unknown_route(method, path)
            params = check(route.endpoint, given)
            expand = params.pop("expand", None) or EMPTY
            body = route.handler(self, params, *ids)
            return self.presented(body, expand, self.version)

        try:
            answer = WorldAnswer(200, self.operate(run, cause), headers)
        except StripeError as error:
            answer = WorldAnswer(error.status, json.loads(json.dumps(error.body)), headers | error.headers)
        return answer if struck is None else WorldAnswer(struck.status, struck.body, headers)

    def presented(self, body: Obj, expand: list[str], version: str) -> Obj:
        """The answer's body: a copy, expanded, in the version asked for."""

        def look(kind: str, id_: str) -> Obj | None:
            found = self.find(kind, id_)
            return rendered(found, version, self) if found else None

        def included(key: tuple[str, str]) -> Callable[[Obj], Any]:
            return lambda owner: rendered(copy.deepcopy(INCLUDES[key](self, owner)), version, self)

        shown = rendered(body, version, self)
        gone = SINCE_BASIL if is_legacy(version) else frozenset[tuple[str, str]]()
        expanded(shown, expand, look, {key: included(key) for key in INCLUDES.keys() - gone})
        return shown

    # -- keeping -----------------------------------------------------------------------------------

    def dump(self) -> Obj:
        """Everything as JSON; `load` takes it up."""
        return super().dump() | {"answers": self.answers.kept}

    def load(self, state: Obj) -> None:
        """Take up what `dump` gave."""
        super().load(state)
        self.answers.kept = state["answers"]
