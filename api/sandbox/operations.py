"""One operation after the other: committed or undone as a whole, its events sent, and what time does run.

This is the lower half of `World`; who writes a resource needs only what world.py's docstring lists.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar

from interlock.api.sandbox.core.clicks import fit
from interlock.api.sandbox.core.errors import NOTHING, Obj, StripeError
from interlock.api.sandbox.core.ledger import Ledger
from interlock.api.sandbox.core.observer import Observer
from interlock.api.sandbox.core.outbox import Outbox
from interlock.api.sandbox.core.rules import Due, Timers, next_due
from interlock.api.sandbox.objects import thin_events, webhook_endpoints
from interlock.api.sandbox.routes import RULES

EVENTS_STORED_MAX = 20_000
CLOCK = "test_helpers.test_clock"


class Operations(Ledger):
    """The ledger with commits, deliveries to come, and the passing of time."""

    observer: ClassVar[Observer | None] = None
    """Who looks on, at every world of the process."""

    def __init__(self, *, seed: int = 0, now: int = 0, public_url: str = "http://127.0.0.1:8001") -> None:
        super().__init__(seed=seed, now=now, public_url=public_url)
        self.outbox = Outbox(seed)
        self._timers = Timers()

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

    def impose(self, obj: Obj) -> None:
        """Keep an object exactly as it is given, whatever was there: for a test that says what is so. No event."""

        def keep() -> None:
            old = self.find(str(obj["object"]), str(obj["id"]))
            if old is None:
                self.put(copy.deepcopy(obj))
            else:
                self.replace(old, copy.deepcopy(obj))

        self.operate(keep)

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
            if kind == thin_events.KIND:
                self._address(self.tables[kind][id_])
            self._schedule(kind, id_)
        self.begin()

    def _post(self, event: Obj) -> None:
        """To every endpoint that wants it; by mischief as a second Event object too, of the same change."""
        if self.observer is not None:
            self.observer.emitted(event)
        self._address(event)
        if self.outbox.has_twin(event):
            twin: Obj = copy.deepcopy(event) | {"id": self.new_id("evt_"), "pending_webhooks": 0}
            self.tables["event"][twin["id"]] = twin
            if event["id"] in self.notes:
                self.notes[twin["id"]] = copy.deepcopy(self.notes[event["id"]])
            self._address(twin)

    def _address(self, event: Obj) -> None:
        for endpoint in self.all("webhook_endpoint"):
            thin = bool(self.notes[endpoint["id"]].get("thin"))
            if webhook_endpoints.wants(endpoint, event["type"]) and thin == (event["object"] == thin_events.KIND):
                event["pending_webhooks"] += 1
                self.outbox.add(event, str(endpoint["id"]), self.time)

    def delivered(self, event: str) -> None:
        """An endpoint took an event."""
        found = self.find("event", event)
        if found is not None and found["pending_webhooks"] > 0:
            found["pending_webhooks"] -= 1

    # -- time --------------------------------------------------------------------------------------

    def due(self, obj: Obj) -> Due | None:
        """The next thing that time will do to an object."""
        return None if obj.get("deleted") else next_due(RULES.get(str(obj["object"]), ()), self, obj)

    def _schedule(self, kind: str, id_: str) -> None:
        obj = self.find(kind, id_)
        due = self.due(obj) if obj is not None else None
        if due is not None and obj is not None:
            self._timers.add(self._clock_for(obj), due.at, kind, id_)

    def _clock_for(self, obj: Obj) -> str | None:
        """The test clock that an object lives on; of a payment it is only noted."""
        return obj.get("test_clock") or self.notes.get(obj["id"], NOTHING).get("test_clock")

    def next_timer(self, clock: str | None = None) -> tuple[int, Obj, Due] | None:
        """The next thing that a test clock will do, or the world's own time."""
        while (entry := self._timers.first(clock)) is not None:
            at, kind, id_ = entry
            obj = self.find(kind, id_)
            due = self.due(obj) if obj is not None else None
            if obj is not None and due is not None and due.at == at:
                return at, obj, due
            self._timers.drop(clock)
        return None

    def timers(self, limit: int = 20) -> list[Obj]:
        """What is to come, soonest first, for the panel."""
        coming = [(due, obj) for kind in RULES for obj in self.all(kind) if (due := self.due(obj)) is not None]
        return [
            {"at": due.at, "what": due.rule.name, "object": obj["object"], "id": obj["id"],
             "test_clock": self._clock_for(obj)}
            for due, obj in sorted(coming, key=lambda each: each[0].at)[:limit]
        ]  # fmt: skip

    def advance(self, to: int) -> None:
        """Let the world's time pass until `to`; everything due happens at its own moment."""
        self.finish_clocks()
        while (timer := self.next_timer()) is not None and timer[0] <= to:
            self.time = max(self.time, timer[0])
            self._fire(None, timer[1], timer[2])
        self.time = max(self.time, to)
        self._forget_old()

    def _fire(self, clock: str | None, obj: Obj, due: Due) -> None:
        self._timers.drop(clock)
        self.operate(lambda: due.rule.act(self, obj), clock=clock)
        again = self.due(obj)
        assert again is None or again != due, f"{due.rule.name} of {obj['id']} is due again at once"
        self._schedule(str(obj["object"]), str(obj["id"]))

    def finish_clocks(self) -> None:
        """Finish what Stripe finishes soon after it answered: test clocks that advance."""
        for clock in self.all(CLOCK):
            if clock.get("status") == "advancing":
                self._run_clock(clock)

    def _run_clock(self, clock: Obj) -> None:
        target = int(clock["status_details"]["advancing"]["target_frozen_time"])
        id_ = str(clock["id"])
        while (timer := self.next_timer(id_)) is not None and timer[0] <= target:
            clock["frozen_time"] = max(int(clock["frozen_time"]), timer[0])
            self._fire(id_, timer[1], timer[2])

        def ready() -> None:
            self.touch(clock)
            clock.update({"frozen_time": target, "status": "ready", "status_details": {}})
            self.emit("test_helpers.test_clock.ready", clock)

        self.operate(ready, clock=id_)

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
        if thin := self.find(thin_events.KIND, event):
            return thin_events.notification(thin)
        found = self.find("event", event)
        target = self.find("webhook_endpoint", endpoint)
        if found is None or target is None:
            return None
        body = copy.deepcopy(found)
        version = target.get("api_version")
        if version:
            data = self.notes.get(event, NOTHING).get("versions", NOTHING).get(version)
            body |= {"api_version": version} | ({"data": copy.deepcopy(data)} if data else {})
        if self.observer is not None:
            self.observer.delivered(body)
        return body

    def secrets_of(self, endpoint: str) -> list[str]:
        """The secrets that sign for an endpoint now."""
        return webhook_endpoints.secrets_of(self, endpoint)

    # -- keeping -----------------------------------------------------------------------------------

    def dump(self) -> Obj:
        """Everything as JSON; `load` takes it up."""
        return super().dump() | {"outbox": self.outbox.dump()}

    def load(self, state: Obj) -> None:
        """Take up what `dump` gave."""
        super().load(state)
        self.outbox.load(state["outbox"])
        self._timers = Timers()
        for kind in RULES:
            for id_ in self.tables.get(kind, {}):
                self._schedule(kind, id_)
