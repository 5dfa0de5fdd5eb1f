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
import heapq
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from interlock.api.sandbox.core.errors import EMPTY, NOTHING, Obj, StripeError, invalid, reused_key, unknown_route
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.outbox import Outbox
from interlock.api.sandbox.core.params import check, fit, versions
from interlock.api.sandbox.core.periods import DAY
from interlock.api.sandbox.core.rules import Due, next_due
from interlock.api.sandbox.core.shapes import API_VERSION, expanded, is_legacy, rendered
from interlock.api.sandbox.objects import webhook_endpoints
from interlock.api.sandbox.objects.invoice_document import payments_of
from interlock.api.sandbox.routes import RULES, find_route

__all__ = ["World", "WorldAnswer"]

KEYS_KEPT = DAY
EVENTS_STORED_MAX = 20_000
# Refusals before anything ran are not kept under an idempotency key.
KEPT_STATUSES = frozenset({200, 402, 500})
EXPANDABLE_LATER: dict[tuple[str, str], str] = {
    ("invoice", "payments"): "payments", ("checkout.session", "line_items"): "line_items",
    ("customer", "subscriptions"): "subscriptions", ("invoice", "confirmation_secret"): "secret",
    ("customer", "sources"): "sources",
}  # fmt: skip
SINCE_BASIL = frozenset({("invoice", "payments"), ("invoice", "confirmation_secret")})


class WorldAnswer(NamedTuple):
    """An HTTP answer without the HTTP."""

    status: int
    body: Obj
    headers: dict[str, str]


class World(Ledger):
    """The ledger with its doors: requests, clicks on pages, and the passing of time."""

    def __init__(self, *, seed: int = 0, now: int = 0, public_url: str = "http://127.0.0.1:8001") -> None:
        super().__init__(seed=seed, now=now, public_url=public_url)
        self.outbox = Outbox(seed)
        self.answers: dict[str, Obj] = {}
        self._timers: list[tuple[int, int, str, str]] = []
        self._timer_count = 0
        self._includes = {key: getattr(self, f"_include_{name}") for key, name in EXPANDABLE_LATER.items()}

    # -- requests ----------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        version: str | None = None,
    ) -> WorldAnswer:
        """One call of Stripe's API. `params` are nested, with typed or textual values."""
        given = dict(params or NOTHING)
        request_id = self.new_id("req_")
        headers = {"request-id": request_id, "stripe-version": API_VERSION}
        if version and version not in versions():
            return WorldAnswer(400, invalid(f"Invalid Stripe API version: {version}").body, headers)
        headers["stripe-version"] = version or API_VERSION
        mark = None
        if idempotency_key and method == "POST":
            headers["idempotency-key"] = idempotency_key
            mark = json.dumps([method, path, given], sort_keys=True, default=str)
            if kept := self._kept(idempotency_key):
                return self._replayed(kept, mark, idempotency_key, headers)
        cause: Obj = {"id": request_id, "idempotency_key": idempotency_key}
        answer = self._answer(method, path, given, cause, version or API_VERSION, headers)
        if mark is not None and answer.status in KEPT_STATUSES:
            self.answers[str(idempotency_key)] = {
                "mark": mark, "at": self.time, "status": answer.status, "body": copy.deepcopy(answer.body),
                "request": request_id,
            }  # fmt: skip
        return answer

    def _kept(self, key: str) -> Obj | None:
        kept = self.answers.get(key)
        if kept is not None and kept["at"] <= self.time - KEYS_KEPT:
            del self.answers[key]
            return None
        return kept

    def _replayed(self, kept: Obj, mark: str, key: str, headers: dict[str, str]) -> WorldAnswer:
        if kept["mark"] != mark:
            return WorldAnswer(400, reused_key(key).body, headers)
        replayed = {"idempotent-replayed": "true", "original-request": str(kept["request"])}
        return WorldAnswer(int(kept["status"]), copy.deepcopy(kept["body"]), headers | replayed)

    def _answer(
        self, method: str, path: str, given: Obj, cause: Obj, version: str, headers: dict[str, str]
    ) -> WorldAnswer:
        def run() -> Obj:
            self.version = version
            route, ids = find_route(method, path)
            if route is None:
                raise unknown_route(method, path)
            params = check(route.endpoint, given)
            expand = params.pop("expand", None) or EMPTY
            body = route.handler(self, params, *ids)
            return self.presented(body, expand, version)

        try:
            return WorldAnswer(200, self.operate(run, cause), headers)
        except StripeError as error:
            body = json.loads(json.dumps(error.body))
            return WorldAnswer(error.status, body, headers)

    def presented(self, body: Obj, expand: list[str], version: str) -> Obj:
        """The answer's body: a copy, expanded, in the version asked for."""

        def look(kind: str, id_: str) -> Obj | None:
            found = self.find(kind, id_)
            return rendered(found, version, self) if found else None

        def included(key: tuple[str, str]) -> Callable[[Obj], Any]:
            return lambda owner: rendered(self._includes[key](owner), version, self)

        shown = rendered(body, version, self)
        gone = SINCE_BASIL if is_legacy(version) else frozenset[tuple[str, str]]()
        expanded(shown, expand, look, {key: included(key) for key in self._includes.keys() - gone})
        return shown

    # -- operations --------------------------------------------------------------------------------

    def operate(self, run: Callable[[], Any], cause: Obj | None = None, clock: str | None = None) -> Any:
        """Run one operation: commit it, or undo it where it refuses."""
        self.begin(cause, clock)
        try:
            result = run()
        except StripeError as error:
            if error.keep:
                self._commit()
            else:
                self.undo()
            raise
        except BaseException:
            self.undo()
            raise
        self._commit()
        return result

    def click(self, action: Callable[..., Obj], *args: Any) -> Obj:
        """What a person does on a page: no request id, the answer a copy."""
        fit(action, args)
        result: Obj = self.operate(lambda: action(self, *args))
        return copy.deepcopy(result)

    def _commit(self) -> None:
        events = list(self.fresh_events)
        touched = list(self.touched)
        for event in events:
            self.tables.setdefault("event", {})[event["id"]] = event
            self._post(event)
        for kind, id_ in touched:
            self._schedule(kind, id_)
        self.begin()

    def _post(self, event: Obj) -> None:
        """To every endpoint that wants it; by mischief a second Event object tells of the same change."""
        self._address(event)
        if self.outbox.has_twin(event):
            twin: Obj = copy.deepcopy(event) | {"id": self.new_id("evt_"), "pending_webhooks": 0}
            self.tables["event"][twin["id"]] = twin
            if event["id"] in self.notes:
                self.notes[twin["id"]] = copy.deepcopy(self.notes[event["id"]])
            self._address(twin)

    def _address(self, event: Obj) -> None:
        for endpoint in self.all("webhook_endpoint"):
            if webhook_endpoints.wants(endpoint, event["type"]):
                event["pending_webhooks"] += 1
                self.outbox.add(event, str(endpoint["id"]), self.time)

    def delivered(self, event: str) -> None:
        """An endpoint took an event."""
        found = self.find("event", event)
        if found is not None and found["pending_webhooks"] > 0:
            found["pending_webhooks"] -= 1

    # -- time --------------------------------------------------------------------------------------

    def _schedule(self, kind: str, id_: str) -> None:
        obj = self.find(kind, id_)
        due = self.due(obj) if obj is not None else None
        if due is not None and obj is not None and not self._clock_for(obj):
            self._timer_count += 1
            heapq.heappush(self._timers, (due.at, self._timer_count, kind, id_))

    def due(self, obj: Obj) -> Due | None:
        """The next thing that time will do to an object."""
        return None if obj.get("deleted") else next_due(RULES.get(str(obj["object"]), ()), self, obj)

    def _clock_for(self, obj: Obj) -> str | None:
        """The test clock that an object lives on; of a payment it is only noted."""
        return obj.get("test_clock") or self.notes.get(obj["id"], NOTHING).get("test_clock")

    def next_timer(self) -> tuple[int, Obj, Due] | None:
        """The next thing that the sandbox's own clock will do."""
        while self._timers:
            at, _, kind, id_ = self._timers[0]
            obj = self.find(kind, id_)
            due = self.due(obj) if obj is not None else None
            if obj is not None and due is not None and due.at == at:
                return at, obj, due
            heapq.heappop(self._timers)
        return None

    def timers(self, limit: int = 20) -> list[Obj]:
        """What is to come, soonest first, for the panel."""
        found: list[Obj] = []
        for kind in RULES:
            for obj in self.all(kind):
                due = self.due(obj)
                if due is not None:
                    found.append({"at": due.at, "what": due.rule.name, "object": kind, "id": obj["id"],
                                  "test_clock": self._clock_for(obj)})  # fmt: skip
        return sorted(found, key=lambda each: int(each["at"]))[:limit]

    def advance(self, to: int) -> None:
        """Let the sandbox's time pass until `to`; everything due happens at its own moment."""
        self.finish_clocks()
        while (timer := self.next_timer()) is not None and timer[0] <= to:
            at, obj, due = timer
            heapq.heappop(self._timers)
            self.time = max(self.time, at)
            self._fire(obj, due)
        self.time = max(self.time, to)
        self._forget_old()

    def _fire(self, obj: Obj, due: Due) -> None:
        self.operate(lambda: due.rule.act(self, obj), clock=self._clock_for(obj))
        again = self.due(obj)
        assert again is None or again != due, f"{due.rule.name} of {obj['id']} is due again at once"
        self._schedule(str(obj["object"]), str(obj["id"]))

    def finish_clocks(self) -> None:
        """Finish what Stripe finishes soon after it answered: test clocks that advance."""
        for clock in self.all("test_helpers.test_clock"):
            if clock.get("status") == "advancing":
                self._run_clock(clock)

    def _run_clock(self, clock: Obj) -> None:
        target = int(clock["status_details"]["advancing"]["target_frozen_time"])
        id_ = str(clock["id"])
        while (timer := self._next_on(id_)) is not None and timer[1].at <= target:
            clock["frozen_time"] = max(int(clock["frozen_time"]), timer[1].at)
            self._fire(*timer)

        def ready() -> None:
            self.touch(clock)
            clock.update({"frozen_time": target, "status": "ready", "status_details": {}})
            self.emit("test_helpers.test_clock.ready", clock)

        self.operate(ready, clock=id_)

    def _next_on(self, clock: str) -> tuple[Obj, Due] | None:
        best: tuple[Obj, Due] | None = None
        for kind in RULES:
            for obj in self.all(kind):
                if self._clock_for(obj) == clock:
                    due = self.due(obj)
                    if due is not None and (best is None or due.at < best[1].at):
                        best = (obj, due)
        return best

    def _forget_old(self) -> None:
        """Events older than 30 days are not shown any more; beyond a number they are not kept either."""
        table = self.tables.get("event", {})
        while len(table) > EVENTS_STORED_MAX:
            id_ = next(iter(table))
            del table[id_]
            self.notes.pop(id_, None)

    # -- reading -----------------------------------------------------------------------------------

    def events(self) -> list[Obj]:
        """All kept events as the API shows them, oldest first."""
        return [copy.deepcopy(event) for event in self.all("event")]

    def event_for(self, event: str, endpoint: str) -> Obj | None:
        """An event as this endpoint gets it: its data in the endpoint's API version."""
        found = self.find("event", event)
        target = self.find("webhook_endpoint", endpoint)
        if found is None or target is None:
            return None
        body = copy.deepcopy(found)
        version = target.get("api_version")
        if version:
            data = self.notes.get(event, NOTHING).get("versions", NOTHING).get(version)
            body |= {"api_version": version} | ({"data": copy.deepcopy(data)} if data else {})
        return body

    def secrets_of(self, endpoint: str) -> list[str]:
        """The secrets that sign for an endpoint now."""
        return webhook_endpoints.secrets_of(self, endpoint)

    def _include_payments(self, invoice: Obj) -> Obj:
        return {"object": "list", "data": copy.deepcopy(payments_of(self, invoice)), "has_more": False,
                "url": f"/v1/invoice_payments?invoice={invoice['id']}"}  # fmt: skip

    def _include_line_items(self, session: Obj) -> Obj:
        return {"object": "list", "data": copy.deepcopy(self.notes[session["id"]]["items"]),
                "has_more": False, "url": f"/v1/checkout/sessions/{session['id']}/line_items"}  # fmt: skip

    def _include_subscriptions(self, customer: Obj) -> Obj:
        data = [copy.deepcopy(s) for s in self.all("subscription")
                if s.get("customer") == customer["id"] and s["status"] != "canceled"]  # fmt: skip
        return {"object": "list", "data": data[::-1], "has_more": False,
                "url": f"/v1/customers/{customer['id']}/subscriptions"}  # fmt: skip

    def _include_sources(self, customer: Obj) -> Obj:
        data = [copy.deepcopy(s) for s in self.all("card") if s.get("customer") == customer["id"]]
        return {"object": "list", "data": data, "has_more": False,
                "url": f"/v1/customers/{customer['id']}/sources"}  # fmt: skip

    def _include_secret(self, invoice: Obj) -> Obj | None:
        for payment in payments_of(self, invoice):
            intent = self.find("payment_intent", payment["payment"]["payment_intent"])
            if intent is not None:
                return {"client_secret": intent["client_secret"], "type": "payment_intent"}
        return None

    # -- keeping -----------------------------------------------------------------------------------

    def dump(self) -> Obj:
        """Everything as JSON; `load` takes it up."""
        return super().dump() | {"answers": self.answers, "outbox": self.outbox.dump()}

    def load(self, state: Obj) -> None:
        """Take up what `dump` gave."""
        super().load(state)
        self.answers = state["answers"]
        self.outbox.load(state["outbox"])
        self._timers = []
        for kind in RULES:
            for id_ in self.tables.get(kind, {}):
                self._schedule(kind, id_)
