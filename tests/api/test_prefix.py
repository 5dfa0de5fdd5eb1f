"""All of it can be mounted under any path prefix: by a proxy that keeps the prefix, or inside another application."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar, asgi
from litestar.types import Receive, Scope, Send

from interlock.api.app import InterlockApp, create_app
from interlock.api.settings import load_settings
from tests.kit.bodies import subscription_event
from tests.kit.settings import environment, make_token, sign

MOUNTS = ["/billing", "/a/b", "/s", "/subscription"]


def mounted(app: InterlockApp, prefix: str) -> Any:
    """Mount as Starlette and others do: `root_path` is the prefix, `path` holds it too."""

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        inner: Any = {**scope, "root_path": prefix}
        await app(inner, receive, send)

    return outer


def in_litestar(app: InterlockApp, prefix: str) -> Any:
    """Mount inside another Litestar application, which takes the prefix off."""

    @asgi(prefix, is_mount=True, copy_scope=True)
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)  # pyright: ignore[reportArgumentType]

    return Litestar([inner], openapi_config=None)


@pytest.mark.parametrize("prefix", MOUNTS)
@pytest.mark.parametrize("mount", [mounted, in_litestar])
def test_under_a_prefix(prefix: str, mount: Any, tmp_path: Path) -> None:
    """Webhook, state, schema and its page answer under the prefix as they do without it."""
    app = create_app(load_settings(environment(tmp_path)))
    event = json.dumps(subscription_event("u_1")).encode()
    headers = {"Authorization": f"Bearer {make_token('u_1')}"}

    async def run() -> None:
        transport = httpx.ASGITransport(app=mount(app, prefix))
        async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://t" + prefix) as client:
            answer = await client.post("/webhooks/stripe", content=event, headers={"Stripe-Signature": sign(event)})
            assert answer.json() == {"id": "evt_1", "outcome": "applied"}
            assert (await client.get("/subscription", headers=headers)).json()["state"] == "active"
            page = await client.get("/schema")
            assert page.status_code == 200
            link = page.text.partition("<a href='")[2].partition("'")[0]
            assert (await client.get(str(page.url.join(link)))).json()["openapi"].startswith("3.1")
            assert (await client.get("/nothing")).status_code == 404

    asyncio.run(run())
