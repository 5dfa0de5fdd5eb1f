"""What the sandbox knows: objects in Stripe's current shape, what changed, and the events of it.

An operation (a request, a timer, a click on a page) opens, touches objects before it changes them,
emits events, and is then committed or undone as a whole. `touch` keeps the copy from which an
event's `previous_attributes` and an undo are made, so no other code has to remember the past.
No clock, no I/O, no randomness: ids come from the seed and a counter, the time is given.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from interlock.api.sandbox.core.blanks import blank
from interlock.api.sandbox.core.errors import NOTHING, Obj, StripeError, no_such
from interlock.api.sandbox.core.forms import assign, merge_metadata
from interlock.api.sandbox.core.lists import paged
from interlock.api.sandbox.core.shapes import API_VERSION, difference, is_legacy, rendered

Key = tuple[str, str]  # (object name, id)

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH = {"cus_": 14, "prod_": 14, "cs_test_": 58, "sub_": 24, "in_": 24, "evt_": 24, "req_": 14}
EVENTS_KEPT = 30 * 86_400
# The account's settings of what follows failed payments; `auto_resume` ends the pause that one caused.
# `denied` are permissions that restricted keys lack; `portal_saved`: its settings were saved in the Dashboard once.
ACCOUNT: Obj = {"retries": True, "retries_end": "cancel", "first_failure_pause": False, "auto_resume": False,
                "denied": [], "portal_saved": True, "meter_lag": 0, "limits": False}  # fmt: skip


class Ledger:
    """Objects, ids, the current operation, and the events that came of it."""

    def __init__(self, *, seed: int = 0, now: int = 0, public_url: str = "http://127.0.0.1:8001") -> None:
        self.seed = seed
        self.time = now
        self.public_url = public_url.rstrip("/")
        self.counter = 0
        self.tables: dict[str, dict[str, Obj]] = {}
        self.notes: dict[str, Obj] = {}
        """What Stripe keeps to itself, by object id: card numbers, retry state, pending resumptions."""
        self.account: Obj = dict(ACCOUNT)
        self.account_id = "acct_1" + hashlib.blake2b(str(seed).encode(), digest_size=8).hexdigest()[:15].upper()
        self.key = ""
        """The key of the running request."""
        # of the running operation
        self.clock: str | None = None
        self.cause: Obj = {"id": None, "idempotency_key": None}
        self.fresh_events: list[Obj] = []
        self.touched: dict[Key, Obj | None] = {}
        self.unborn: set[str] = set()
        """Subscriptions being made: they emit nothing before their `created`."""
        self.version = API_VERSION
        """The API version of the running request."""
        self._before: dict[Key, Obj] = {}
        self._by_customer: dict[Key, list[str]] = {}
        self._notes_undo: dict[str, Obj | None] = {}

    # -- time and ids ------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """The time of the object at hand: its test clock's, else the sandbox's."""
        if self.clock is None:
            return self.time
        return int(self.tables["test_helpers.test_clock"][self.clock]["frozen_time"])

    def new_id(self, prefix: str) -> str:
        """The next id of this seed."""
        self.counter += 1
        length = ID_LENGTH.get(prefix, 24)
        digest = hashlib.blake2b(f"{self.seed}/{self.counter}".encode(), digest_size=56).digest()
        number = int.from_bytes(digest, "big")
        letters: list[str] = []
        for _ in range(length):
            number, rest = divmod(number, 62)
            letters.append(ALPHABET[rest])
        return prefix + "".join(letters)

    # -- objects -----------------------------------------------------------------------------------

    def new(self, kind: str, prefix: str, p: Obj = NOTHING, names: Iterable[str] = (), **fields: Any) -> Obj:
        """A new object, every field of Stripe's in it, not kept yet.

        From the parameters `p` it takes metadata and those that `names` lists; `fields` have the last word.
        """
        obj = blank(kind)
        assign(obj, p, *names)
        merge_metadata(obj, p)
        made: Obj = {"id": self.new_id(prefix)} | ({"created": self.now} if "created" in obj else {})
        return obj | made | fields

    def put(self, obj: Obj) -> Obj:
        """Keep a new object."""
        key = (str(obj["object"]), str(obj["id"]))
        table = self.tables.setdefault(key[0], {})
        if key[1] in table:
            raise StripeError(400, f"{key[0].title()} already exists.", code="resource_already_exists", param="id")
        table[key[1]] = obj
        self.touched.setdefault(key, None)
        self._index(obj)
        self._use_clock_of(obj)
        return obj

    def find(self, kind: str, id: str | None) -> Obj | None:  # noqa: A002
        """The object, or None."""
        return self.tables.get(kind, NOTHING).get(id or "")

    def get(self, kind: str, id: str, param: str = "id", status: int = 404) -> Obj:  # noqa: A002
        """The object, or Stripe's `resource_missing`. Takes the operation to the object's own clock."""
        obj = self.find(kind, id)
        stub = obj is not None and obj.get("deleted")
        if obj is None or (stub and (param != "id" or kind != "customer")):  # only a customer's stub is shown
            raise no_such(kind, id, param, status)
        self._use_clock_of(obj)
        return obj

    def of(self, kind: str, id: str, param: str) -> Obj:  # noqa: A002
        """The object that a parameter names; 400 when there is none."""
        return self.get(kind, id, param, 400)

    def all(self, kind: str) -> list[Obj]:
        """All living objects of a kind, oldest first; no stubs of deleted ones."""
        return [obj for obj in self.tables.get(kind, NOTHING).values() if not obj.get("deleted")]

    def of_customer(self, kind: str, customer: str) -> list[Obj]:
        """The living objects of a kind that were made for a customer, oldest first."""
        table = self.tables.get(kind, NOTHING)
        found = [table[id_] for id_ in self._by_customer.get((kind, customer), ()) if id_ in table]
        return [obj for obj in found if not obj.get("deleted")]

    def touch(self, obj: Obj) -> Obj:
        """Say before the change that `obj` is going to change."""
        key = (str(obj["object"]), str(obj["id"]))
        if key not in self._before:
            self._before[key] = copy.deepcopy(obj)
        if key not in self.touched:
            self.touched[key] = copy.deepcopy(obj)
        self._use_clock_of(obj)
        return obj

    def replace(self, obj: Obj, new: Obj) -> Obj:
        """Change all of an object's content at once (a deletion leaves a stub)."""
        self.touch(obj)
        obj.clear()
        obj.update(new)
        return obj

    def forget(self, kind: str, obj: Obj) -> None:
        """Take an object away for good."""
        for id_, kept in list(self.tables[kind].items()):
            if kept is obj:
                del self.tables[kind][id_]
                self.touched.pop((kind, id_), None)

    def note(self, id: str) -> Obj:  # noqa: A002
        """What Stripe would keep to itself about an object; may be changed."""
        if id not in self._notes_undo:
            self._notes_undo[id] = copy.deepcopy(self.notes.get(id))
        return self.notes.setdefault(id, {})

    def _index(self, obj: Obj) -> None:
        if customer := obj.get("customer"):
            self._by_customer.setdefault((str(obj["object"]), str(customer)), []).append(str(obj["id"]))

    def _use_clock_of(self, obj: Obj) -> None:
        if self.clock is None and obj.get("test_clock"):
            self.clock = str(obj["test_clock"])

    # -- events ------------------------------------------------------------------------------------

    def emit(
        self,
        type: str,  # noqa: A002  Stripe's own name
        obj: Obj,
        *,
        then_updated: bool = False,
        at: int | None = None,
    ) -> Obj | None:
        """Emit an event about `obj` as it is now.

        `*.updated` tells what changed since the last event about it, and says nothing when nothing
        did. Other events start the comparison afresh, unless an update of the same change follows.
        `at` puts the event before others of the same operation.
        """
        if obj["id"] in self.unborn:
            return None
        key = (str(obj["object"]), str(obj["id"]))
        before = self._before.get(key)
        data: Obj = {"object": rendered(obj, API_VERSION, self)}
        if type.endswith(".updated"):
            if before is None:
                return None
            data["previous_attributes"] = difference(before, obj)
            if not data["previous_attributes"]:
                return None
        event: Obj = {
            "id": self.new_id("evt_"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": data,
            "livemode": False,
            "pending_webhooks": 0,
            "request": dict(self.cause),
            "type": type,
        }
        self._keep_legacy(event, obj, before)
        if not then_updated:
            self._before.pop(key, None)
        self.fresh_events.insert(len(self.fresh_events) if at is None else at, event)
        return event

    def _keep_legacy(self, event: Obj, obj: Obj, before: Obj | None) -> None:
        """An event's shape is fixed when it is made, for each old version that an endpoint asks for."""
        versions = {
            str(each["api_version"])
            for each in self.all("webhook_endpoint")
            if each.get("api_version") and is_legacy(str(each["api_version"]))
        }
        for version in sorted(versions):
            shape = rendered(obj, version, self)
            data: Obj = {"object": shape}
            if "previous_attributes" in event["data"] and before is not None:
                data["previous_attributes"] = difference(rendered(before, version, self), shape)
            self.note(event["id"]).setdefault("versions", {})[version] = data

    # -- the operation -----------------------------------------------------------------------------

    def begin(self, cause: Obj | None = None, clock: str | None = None) -> None:
        """Start an operation."""
        self.clock = clock
        self.cause = cause or {"id": None, "idempotency_key": None}
        self.fresh_events = []
        self.unborn = set()
        self.version = API_VERSION
        self.touched = {}
        self._before = {}
        self._notes_undo = {}

    def undo(self) -> None:
        """Take back everything since `begin`."""
        for (kind, id_), old in self.touched.items():
            if old is None:
                self.tables[kind].pop(id_, None)
            else:
                obj = self.tables[kind][id_]
                obj.clear()
                obj.update(old)
        for id_, old in self._notes_undo.items():
            if old is None:
                self.notes.pop(id_, None)
            else:
                self.notes[id_] = old
        self.begin()

    def rehearse(self, run: Callable[[], Obj]) -> Obj:
        """What `run` gives; all that the operation did is taken back."""
        kept = self.cause, self.version, self.clock
        try:
            return copy.deepcopy(run())
        except StripeError as error:
            error.keep = False
            raise
        finally:
            self.undo()
            self.cause, self.version, self.clock = kept

    # -- lists -------------------------------------------------------------------------------------

    def page(self, kind: str, params: Obj, url: str, where: Callable[[Obj], bool] = lambda _obj: True) -> Obj:
        """A page of a list as Stripe pages: newest first, cursors by id."""
        found = [o for o in reversed(self.all(kind)) if where(o)]
        return paged(found, params, url)

    # -- keeping -----------------------------------------------------------------------------------

    def dump(self) -> Obj:
        """Everything, as JSON."""
        return {
            "seed": self.seed, "time": self.time, "counter": self.counter, "tables": self.tables,
            "notes": self.notes, "account": self.account, "account_id": self.account_id,
        }  # fmt: skip

    def load(self, state: Obj) -> None:
        """Take up what `dump` gave."""
        for name in ("seed", "time", "counter", "tables", "notes"):
            setattr(self, name, state[name])
        self.account_id = state.get("account_id", self.account_id)
        self.account |= state["account"]
        self._by_customer = {}
        for table in self.tables.values():
            for obj in table.values():
                self._index(obj)
