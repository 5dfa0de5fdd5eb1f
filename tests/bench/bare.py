"""The measure of all rows: what Litestar itself needs to read a body, or to answer a read."""

from __future__ import annotations

import os
import time
from typing import Any

from litestar import Litestar, Request, get, post

from interlock.engine.wire import events as webhooks
from interlock.engine.wire import signature

_SECRETS = (os.environ.get("STRIPE_WEBHOOK_SECRET", "").encode(),)


@post("/bare", status_code=200)
async def bare_post(request: Request[Any, Any, Any]) -> dict[str, bool]:
    await request.body()
    return {"received": True}


@post("/decoding", status_code=200)
async def decoding_post(request: Request[Any, Any, Any]) -> dict[str, str]:
    body = await request.body()
    signature.verify(body, request.headers.get("stripe-signature", "").encode(), _SECRETS, time.time())
    return {"id": webhooks.read(body).id}


@get("/bare")
async def bare_get() -> dict[str, bool]:
    return {"active": True}


app = Litestar([bare_post, decoding_post, bare_get], logging_config=None, openapi_config=None)
