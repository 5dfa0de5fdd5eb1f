"""An engine beside the stand-in Stripe, over real loopback HTTP; events are delivered only when a test says so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import msgspec

from interlock.engine.commands.checkout import CheckoutSession
from interlock.engine.interlock import Interlock
from tests.engine.conftest import SECRET, make_config
from tests.kit.bodies import Obj, body_of, signed
from tests.sandbox.live import KEY, Live

PRO = "price_pro"


class Bench:
    """One engine on a file, one stand-in Stripe, and a person who does things at it."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.live = Live()
        self.config = make_config(folder, stripe_base=self.live.url, stripe_key=KEY, **changes)
        self.engine: Interlock

    async def __aenter__(self) -> Bench:
        self.engine = await Interlock.open(self.config)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engine.close()
        await asyncio.to_thread(self.live.close)

    async def restart(self) -> None:
        await self.engine.close()
        self.engine = await Interlock.open(self.config)

    # --- at Stripe ---

    async def ask(self, method: str, path: str, **form: Any) -> Obj:
        """Call Stripe's API as another program would."""
        call = self.live.http.request
        headers = {"Authorization": f"Bearer {KEY}"}
        given: dict[str, Any] = {"params": form} if method == "GET" else {"data": form}
        answer = await asyncio.to_thread(call, method, f"/v1/{path}", headers=headers, **given)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def panel(self, path: str, **body: Any) -> Obj:
        return await asyncio.to_thread(self.live.panel, path, body)

    async def fault(self, path: str, **fault: Any) -> None:
        await self.panel("faults", path_prefix=f"/v1/{path}", **fault)

    async def subscribe(self, user: str | None = "u_1", **form: Any) -> Obj:
        """Somebody subscribes at Stripe itself, with a card that works."""
        buyer = await self.ask(
            "POST", "customers", payment_method="pm_card_visa",
            **{"invoice_settings[default_payment_method]": "pm_card_visa"},
        )  # fmt: skip
        given = {"customer": buyer["id"], "items[0][price]": PRO} | form
        if user is not None:
            given["metadata[user_id]"] = user
        return await self.ask("POST", "subscriptions", **given)

    async def events(self, about: str = "") -> list[Obj]:
        """Every event so far, oldest first; those about one object where it is named."""
        listed = (await self.ask("GET", "events", limit=100))["data"]
        return [told for told in reversed(listed) if not about or about in body_of(told).decode()]

    async def objects(self, path: str) -> list[Obj]:
        return (await self.ask("GET", path, limit=100))["data"]

    async def pay(self, session: CheckoutSession, card: str = "4242424242424242") -> None:
        await self.panel(f"checkout/{session.id}/pay", card=card, email="who@example.com")

    # --- at the service ---

    async def deliver(self, *events: Obj) -> list[str]:
        outcomes: list[str] = []
        for told in events:
            body = body_of(told)
            receipt = await self.engine.receive(body, signed(body, SECRET, time.time()).encode())
            outcomes.append(receipt.outcome.value)
        return outcomes

    async def state(self, user: str = "u_1") -> Obj:
        return cast("Obj", msgspec.json.decode((await self.engine.state(user)).body))

    async def history(self, user: str = "u_1") -> list[Obj]:
        page = await self.engine.history(user, limit=100, after=None)
        return list(reversed(msgspec.json.decode(msgspec.json.encode(page.items))))

    async def questions(self) -> int:
        return int((await self.engine.metrics())["interlock_pending_questions"])

    async def settled(self, within: float = 3.0) -> float:
        """Wait until nothing is asked about any more; returns how long that took."""
        return await eventually(self._quiet, within)

    async def _quiet(self) -> bool:
        return await self.questions() == 0


async def eventually(holds: Callable[[], Awaitable[bool]], within: float) -> float:
    """Wait until something holds; returns how long that took."""
    begun = time.monotonic()
    while not await holds():
        assert time.monotonic() - begun < within, f"not within {within} s"
        await asyncio.sleep(0.02)
    return time.monotonic() - begun
