"""Stripe's API over HTTP: `/v1/…` as a bare ASGI application, so that faults reach the connection."""

from __future__ import annotations

import asyncio
import base64
import email.utils
import json
import logging
from typing import Any
from urllib.parse import parse_qsl

from litestar.types import HTTPScope, Receive, Scope, Send

from interlock.api.sandbox.core.errors import StripeError, invalid, unauthorized
from interlock.api.sandbox.core.params import nest
from interlock.api.sandbox.http.carrier import RunningWorld
from interlock.api.sandbox.http.faults import Fault
from interlock.api.sandbox.world import WorldAnswer

log = logging.getLogger("sandbox")

BODY_MAX = 1 << 20
STATUS_TEXT = {
    400: "Bad request.", 402: "Request failed.", 404: "Not found.", 409: "Conflict.",
    429: "Too many requests hit the API too quickly.", 500: "An unknown error occurred.",
    502: "Bad gateway.", 503: "Service unavailable.", 504: "Gateway timeout.",
}  # fmt: skip


def unforeseen(method: str, path: str, error: Exception) -> StripeError:
    """Log what nobody foresaw, and tell it as Stripe's own fault."""
    log.error("%s %s", method, path, exc_info=error)
    return StripeError(500, STATUS_TEXT[500], type="api_error")


class Face:
    """The ASGI application."""

    def __init__(self, sandbox: RunningWorld) -> None:
        self.sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call; what nobody foresaw is Stripe's 500 too, and the log says what it was."""
        if scope["type"] != "http":
            return
        try:
            await self._serve(scope, receive, send)
        except Exception as error:
            told = unforeseen(scope["method"], scope["path"], error)
            await self._send(send, WorldAnswer(500, told.body, {"request-id": self.sandbox.world.new_id("req_")}))

    async def _serve(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Key, fault, parameters, answer."""
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        method, path = str(scope["method"]), self._path(scope)
        try:
            body = await _read(receive)
        except EOFError:
            return  # its sender died over it: nothing is done of half a request
        fault = self.sandbox.faults.take(method, path)
        if fault is not None and await self._before(fault, receive, send):
            return
        answer = self._answer(method, path, scope, headers, body)
        if fault is not None and await self._instead(fault, receive, send):
            return
        await self._send(send, answer)

    def _path(self, scope: HTTPScope) -> str:
        path = str(scope["path"]).rstrip("/")
        root = str(scope["root_path"])
        path = path if path.startswith("/v1") or not root else path.removeprefix(root)
        return path if path.startswith("/v1") else "/v1" + path

    def _answer(
        self, method: str, path: str, scope: HTTPScope, headers: dict[str, str], body: bytes | None
    ) -> WorldAnswer:
        try:
            _authenticate(headers.get("authorization"))
            if body is None:
                raise StripeError(413, "The request is too large.")
            query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            params = nest(query + parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
            key = headers.get("idempotency-key")
            if key is not None and len(key) > 255:
                raise invalid("Idempotency keys can be at most 255 characters long.")
        except StripeError as error:
            return WorldAnswer(error.status, error.body, {"request-id": self.sandbox.world.new_id("req_")})
        return self.sandbox.request(method, path, params, idempotency_key=key, version=headers.get("stripe-version"))

    # -- faults ------------------------------------------------------------------------------------

    async def _before(self, fault: Fault, receive: Receive, send: Send) -> bool:
        """Faults in which nothing is done."""
        if fault.kind == "status":
            status = int(fault.value)
            kind = "rate_limit" if status == 429 else None
            error = StripeError(status, STATUS_TEXT.get(status, "Fault."), code=kind,
                                type="invalid_request_error" if status < 500 else "api_error")  # fmt: skip
            extra = {"request-id": self.sandbox.world.new_id("req_")}
            if fault.retry_after is not None:
                extra["retry-after"] = str(fault.retry_after)
            if fault.should_retry is not None:
                extra["stripe-should-retry"] = fault.should_retry
            await self._send(send, WorldAnswer(status, error.body, extra))
            return True
        if fault.kind == "timeout":
            await asyncio.sleep(float(fault.value))
            await _break(receive, send)
            return True
        if fault.kind == "reset":
            await _break(receive, send)
            return True
        return False

    async def _instead(self, fault: Fault, receive: Receive, send: Send) -> bool:
        """Faults in which the work is done, and the answer suffers."""
        if fault.kind == "lost":
            await _break(receive, send)
            return True
        if fault.kind == "garbage":
            await _respond(send, 200, b"<html><body>502 Bad Gateway</body>", {"content-type": "text/html"})
            return True
        if fault.kind == "slow":
            await asyncio.sleep(float(fault.value))
        return False

    async def _send(self, send: Send, answer: WorldAnswer) -> None:
        now = email.utils.formatdate(self.sandbox.clock.now(), usegmt=True)
        headers = {"content-type": "application/json", "date": now, "server": "sandbox"} | answer.headers
        headers |= {"cache-control": "no-cache, no-store", "request-id": answer.headers.get("request-id", "")}
        body = json.dumps(answer.body, indent=2, ensure_ascii=False).encode()
        await _respond(send, answer.status, body, headers)


def _authenticate(header: str | None) -> None:
    scheme, _, credentials = (header or "").partition(" ")
    key = credentials.strip()
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(key).decode("latin-1").partition(":")[0]
        except ValueError:
            key = ""
    if not key.startswith(("sk_test_", "rk_test_")) or len(key) < 9:
        raise unauthorized(key or None)


async def _read(receive: Receive) -> bytes | None:
    """The body, or None when it is too long.  EOFError where it ends too early."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message: Any = await receive()
        if message["type"] != "http.request":
            raise EOFError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= BODY_MAX:
            chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks) if size <= BODY_MAX else None


async def _respond(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    raw = [(k.encode(), v.encode("latin-1")) for k, v in (headers | {"content-length": str(len(body))}).items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _break(receive: Receive, send: Send) -> None:
    """End the connection without an answer.

    ASGI has no word for that. Under uvicorn `receive` is a method of the request's cycle, which knows
    the transport; elsewhere more bytes are promised than come, and the server closes.
    """
    transport: Any = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()
        await asyncio.sleep(0.01)  # until the server has noticed
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000000")]})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})
