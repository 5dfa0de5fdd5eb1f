"""The running sandbox: the world on a clock, deliveries over HTTP, its file. The only part with I/O."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
from collections import deque
from collections.abc import Callable
from typing import Any

import httpx

from interlock.api.sandbox.core.errors import Obj
from interlock.api.sandbox.core.outbox import Delivery
from interlock.api.sandbox.http.clock import SandboxClock
from interlock.api.sandbox.http.faults import Call, Faults
from interlock.api.sandbox.routes import find_route
from interlock.api.sandbox.world import World, WorldAnswer

TIMEOUT = 10.0
ROUNDS_MAX = 1_000
CALLS_KEPT = 10_000
USER_AGENT = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"


def signature(body: bytes, secrets: list[str], at: int) -> str:
    """`Stripe-Signature`: one v1 for each active secret."""
    signed = str(at).encode() + b"." + body
    marks = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={at}", *(f"v1={mark}" for mark in marks)])


class RunningWorld:
    """What `app.state.sandbox` is: the world on its clock, its deliveries, the calls that came, and their faults."""

    def __init__(self, world: World, clock: SandboxClock, *, app_url: str, data: pathlib.Path | None = None) -> None:
        self.world = world
        self.clock = clock
        self.app_url = app_url.rstrip("/")
        self.data = data
        self.faults = Faults()
        self.plans: list[Obj] = []
        self.calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        """The calls of the API, the newest last."""
        self.called: set[tuple[str, str]] = set()
        """Which routes of the API have been called."""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._client: httpx.AsyncClient | None = None
        self._carrying = asyncio.Lock()

    # -- doing -------------------------------------------------------------------------------------

    def request(self, method: str, path: str, params: Obj, **options: Any) -> WorldAnswer:
        """One API call at the clock's time."""
        self.tick()
        route, _ = find_route(method, path)
        if route is not None:
            self.called.add((route.method, route.path))
        answer = self.world.request(method, path, params, **options)
        if method != "GET":
            self.changed()
        return answer

    def look(self, action: Callable[..., Obj], *args: Any) -> Obj:
        """What a page shows; nothing changes."""
        self.tick()
        return self.world.click(action, *args)

    def click(self, action: Callable[..., Obj], *args: Any) -> Obj:
        """What a person does on a page."""
        self.tick()
        try:
            return self.world.click(action, *args)
        finally:
            self.changed()

    def tick(self) -> None:
        """Take the world to the clock's time."""
        self.world.advance(int(self.clock.now()))

    def changed(self) -> None:
        """Save, and let deliveries go out now."""
        self.save()
        self._wake.set()

    async def advance(self, to: float) -> None:
        """Turn the clock to `to` in steps: everything due happens, and is delivered, at its own time."""
        for _ in range(ROUNDS_MAX):
            timer = self.world.next_timer()
            if timer is None or timer[0] > to:
                break
            self.clock.move_to(timer[0])
            self.world.advance(timer[0])
            await self.carry()
        self.clock.move_to(to)
        self.tick()
        self.world.outbox.hurry(self.clock.now())
        await self.carry()
        self.changed()

    # -- deliveries --------------------------------------------------------------------------------

    async def carry(self) -> int:
        """Make the tries that are due; in order for each endpoint. Returns how many."""
        async with self._carrying:
            by_endpoint: dict[str, list[Delivery]] = {}
            for delivery in self.world.outbox.due(self.clock.now()):
                by_endpoint.setdefault(delivery.endpoint, []).append(delivery)
            await asyncio.gather(*(self._carry_all(each) for each in by_endpoint.values()))
            return sum(len(each) for each in by_endpoint.values())

    async def _carry_all(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            await self._carry(delivery)

    async def _carry(self, delivery: Delivery) -> None:
        world = self.world
        event = world.event_for(delivery.event, delivery.endpoint)
        endpoint = world.find("webhook_endpoint", delivery.endpoint)
        if event is None or endpoint is None or endpoint["status"] != "enabled":
            world.outbox.pending.pop(delivery.id, None)
            return
        status, answer = await self._post(str(endpoint["url"]), event, world.secrets_of(delivery.endpoint))
        if world.outbox.done(delivery, self.clock.now(), status, str(event["type"]), answer):
            world.delivered(delivery.event)

    async def _post(self, url: str, event: Obj, secrets: list[str]) -> tuple[int | None, str]:
        body = json.dumps(event, indent=2, ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": USER_AGENT,
            "Stripe-Signature": signature(body, secrets, int(self.clock.now())),
        }
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False, trust_env=False)
        try:
            answer = await self._client.post(url, content=body, headers=headers)
        except httpx.HTTPError:
            return None, ""
        return answer.status_code, answer.text

    # -- running -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to keep time and deliver."""
        self._task = asyncio.create_task(self._run(), name="sandbox")

    async def stop(self) -> None:
        """End cleanly."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._client is not None:
            await self._client.aclose()
            self._client = None
        self.save()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            self.tick()
            if await self.carry():
                self.save()
            wait = self._until_next()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait)

    def _until_next(self) -> float | None:
        timer = self.world.next_timer()
        times = [t for t in (self.world.outbox.next_due(), timer[0] if timer else None) if t is not None]
        return max(0.0, min(times) - self.clock.now()) if times else None

    # -- keeping -----------------------------------------------------------------------------------

    def save(self) -> None:
        """Write everything beside the file, then in its place: a crash leaves the old or the new."""
        if self.data is None:
            return
        self.data.parent.mkdir(parents=True, exist_ok=True)
        beside = self.data.with_name(self.data.name + ".new")
        with beside.open("w", encoding="utf-8") as file:
            json.dump({"offset": self.clock.offset, "world": self.world.dump()}, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.data)

    def restore(self) -> bool:
        """Take up the file, if there is one."""
        if self.data is None or not self.data.exists():
            return False
        state = json.loads(self.data.read_text(encoding="utf-8"))
        self.clock.offset = max(self.clock.offset, float(state["offset"]))
        self.world.load(state["world"])
        return True
