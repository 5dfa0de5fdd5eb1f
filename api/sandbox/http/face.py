"""Stripe's API over HTTP: `/v1/…` as a bare ASGI application, so that faults reach the connection."""

from __future__ import annotations

import asyncio
import base64
import email.utils
import json
import logging
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import parse_qsl, unquote_plus

from litestar.types import HTTPScope, Receive, Scope, Send

from interlock.api.sandbox.core.errors import StripeError, invalid, unauthorized
from interlock.api.sandbox.core.params import nest
from interlock.api.sandbox.http.carrier import RunningWorld
from interlock.api.sandbox.http.faults import Call, Fault
from interlock.api.sandbox.world import WorldAnswer

log = logging.getLogger("sandbox")

BODY_MAX = 1 << 20
STATUS_TEXT = {
    400: "Bad request.", 402: "Request failed.", 404: "Not found.", 409: "Conflict.",
    429: "Too many requests hit the API too quickly.", 500: "An unknown error occurred.",
    502: "Bad gateway.", 503: "Service unavailable.", 504: "Gateway timeout.",
}  # fmt: skip


def unforeseen(method: str, path: str, error: Exception) -> StripeError:
    """Log an unexpected error, and answer it as Stripe's own fault."""
    log.error("%s %s", method, path, exc_info=error)
    return StripeError(500, STATUS_TEXT[500], type="api_error")


class Face:
    """The ASGI application."""

    def __init__(self, running: RunningWorld, base: str = "/v1") -> None:
        self.running = running
        self.base = base

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call; an unexpected error is Stripe's 500 too, and is logged."""
        if scope["type"] != "http":
            return
        try:
            await self._serve(scope, receive, send)
        except Exception as error:
            refusal = unforeseen(scope["method"], scope["path"], error)
            await self._send(send, self.running.world.refused(refusal))

    async def _serve(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Key, fault, parameters, answer."""
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        try:
            body = await _read(receive)
        except EOFError:
            return  # its sender died over it: nothing is done of half a request
        query = scope["query_string"].decode("latin-1")
        given = "" if body is None else body.decode("utf-8", "replace")
        path = self._path(scope)
        text = unquote_plus(" ".join((headers.get("authorization", ""), path, query, given)))
        call = Call(self.running.clock.now(), str(scope["method"]), path, text)
        self.running.calls.append(call)
        await self.running.faults.light.wait()
        fault = self.running.faults.take(call)
        if fault is not None and fault.kind in ("timeout", "reset"):
            await asyncio.sleep(float(fault.value) if fault.kind == "timeout" else 0)
            await _break(receive, send)
            return
        if fault is not None and (refusal := self._refusal(fault)):
            await self._send(send, refusal)
            return
        struck = _error(int(fault.value)) if fault is not None and fault.kind == "failed" else None
        form = given if headers.get("content-type", "").startswith("application/json") and given else f"{query}&{given}"
        answer = self._answer(call, form, headers, too_large=body is None, struck=struck)
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(float(fault.value))
        if fault is not None and fault.kind == "lost":
            await _break(receive, send)
            return
        await self._send(send, answer, SPOILED.get(fault.kind) if fault is not None else None)

    def _path(self, scope: HTTPScope) -> str:
        path = str(scope["path"]).rstrip("/")
        root = str(scope["root_path"])
        path = path if path.startswith(self.base) or not root else path.removeprefix(root)
        return path if path.startswith(self.base) else self.base + path

    def _answer(
        self, call: Call, form: str, headers: dict[str, str], *, too_large: bool, struck: StripeError | None
    ) -> WorldAnswer:
        is_json = self.base == "/v2" and form.startswith("{")
        try:
            secret = _authenticate(headers.get("authorization"))
            if too_large:
                raise StripeError(413, "The request is too large.")
            params = _json(form) if is_json else nest(parse_qsl(form, keep_blank_values=True))
            key = headers.get("idempotency-key")
            if key is not None and len(key) > 255:
                raise invalid("Idempotency keys can be at most 255 characters long.")
        except StripeError as error:
            return self.running.world.refused(error)
        return self.running.request(
            call.method, call.path, params, idempotency_key=key, version=headers.get("stripe-version"), key=secret,
            struck=struck,
        )  # fmt: skip

    def _refusal(self, fault: Fault) -> WorldAnswer | None:
        """The answer of a fault in which nothing is done."""
        if fault.kind not in ("status", "limited", "locked"):
            return None
        status = int(fault.value) if fault.kind == "status" else 429
        answer = self.running.world.refused(_error(status, "lock_timeout" if fault.kind == "locked" else None))
        wait = fault.value if fault.kind == "limited" else fault.retry_after
        more = {
            "retry-after": None if wait is None else str(wait),
            "stripe-should-retry": "true" if fault.kind == "locked" else fault.should_retry,
            "stripe-rate-limited-reason": "global-rate" if fault.kind == "limited" else None,
        }
        answer.headers.update({name: value for name, value in more.items() if value is not None})
        return answer

    async def _send(self, send: Send, answer: WorldAnswer, spoil: Callable[[bytes], bytes] | None = None) -> None:
        now = email.utils.formatdate(self.running.clock.now(), usegmt=True)
        headers = {"content-type": "application/json", "date": now, "server": "sandbox"} | answer.headers
        headers |= {"cache-control": "no-cache, no-store", "request-id": answer.headers.get("request-id", "")}
        body = json.dumps(answer.body, indent=2, ensure_ascii=False).encode()
        await _respond(send, answer.status, spoil(body) if spoil else body, headers)


SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "garbage": lambda _body: b"<html><body>502 Bad Gateway</body>",
    "wrong": lambda _body: b'{"object": "balance", "available": [], "data": {}, "id": 7}',
    "half": lambda body: body[: len(body) // 2],
}
"""What comes in place of an answer's body."""


def _error(status: int, code: str | None = None) -> StripeError:
    """What Stripe says with a status that no resource gives."""
    kind = "invalid_request_error" if status < 500 else "api_error"
    return StripeError(status, STATUS_TEXT.get(status, "Fault."), type=kind,
                       code=code or ("rate_limit" if status == 429 else None))  # fmt: skip


def _authenticate(header: str | None) -> str:
    """The key of a call, or a 401."""
    scheme, _, credentials = (header or "").partition(" ")
    key = credentials.strip()
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(key).decode("latin-1").partition(":")[0]
        except ValueError:
            key = ""
    if not key.startswith(("sk_test_", "rk_test_")) or len(key) < 9:
        raise unauthorized(key or None)
    return key


def _json(text: str) -> dict[str, Any]:
    """The parameters of a call of v2, which speaks JSON."""
    try:
        given: Any = json.loads(text)
    except ValueError:
        raise invalid("The request body is not JSON.") from None
    if not isinstance(given, dict):
        raise invalid("The request body must be a JSON object.")
    return cast("dict[str, Any]", given)


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
