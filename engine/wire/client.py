"""The only room that calls Stripe.

Reads come back as bytes with the answer's `Date`, so that they go through the same decoding as webhooks do.
Writes carry idempotency keys that are the same for the same intent, so a repeated or doubled call has one
effect.  A lost answer is asked for again under its key.  An answered 5xx is not: Stripe keeps it under the key and
would say it again for a day, so the caller takes another key.

Errors: StripeRefused (Stripe said no; NoSuchObject, CardDeclined), StripeUnavailable (no answer in time; StripeFailed
is a 5xx, StripeBusy a 429).  Each refusal is logged here with Stripe's words, code, parameter and request id; the
caller gets a plain sentence, for an end user may read it.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import re
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeVar, cast

import msgspec
import stripe

from interlock.engine.errors import CardDeclined, KeyRefused, StripeBusy, StripeFailed, StripeRefused, StripeUnavailable

log = logging.getLogger("interlock.stripe")
T = TypeVar("T")

RETRIES: Final = 2
API_VERSION: Final[str] = stripe.api_version or ""
_PERMISSION: Final = re.compile(r"\brak_\w+")
_WORDS: Final = 500
"""Characters of Stripe's words that the log takes."""


class NoSuchObject(StripeRefused):
    """Stripe has no object of an id; `param` names the parameter that held it, where it was not the path."""


class Unreadable(StripeUnavailable):
    """Stripe answered, and what it said is not of the promised shape."""


class Answer(NamedTuple):
    """What Stripe answered: the body, and when (seconds; by its clock, by ours where it does not say)."""

    body: bytes
    date: int


class _Http(stripe.HTTPXClient):
    """The SDK's HTTP client, with no telemetry, and without its use of httpx that is deprecated there.

    `writes`: an answered 5xx is final, for Stripe keeps it under the idempotency key.
    """

    def __init__(self, timeout: float, *, writes: bool) -> None:
        super().__init__(timeout=timeout)  # pyright: ignore[reportUnknownMemberType]
        self._writes = writes

    def _get_request_args_kwargs(self, method: str, url: str, headers: Mapping[str, str], post_data: Any) -> Any:
        where, how = cast("Any", super())._get_request_args_kwargs(method, url, headers, post_data)
        form = how.pop("data")
        return where, how | ({"content": form} if form else {})

    def _add_telemetry_header(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        return headers

    def _should_retry(
        self, response: Any, api_connection_error: Any, num_retries: int, max_network_retries: Any
    ) -> Any:
        if self._writes and response is not None and response[1] >= 500:
            return False
        parent = cast("Any", super())
        return parent._should_retry(response, api_connection_error, num_retries, max_network_retries)


def no_telemetry() -> None:
    """Let the SDK send no figures about this machine, in a process that is ours alone: it is a setting of the SDK's."""
    stripe.enable_telemetry = False


class StripeClient:
    """Calls Stripe's API with one key; one try takes `call_seconds` at most, a call with its tries `whole_seconds`."""

    def __init__(
        self, key: str, base: str | None = None, *, call_seconds: float = 9.0, whole_seconds: float = 18.0
    ) -> None:
        self._whole_seconds = whole_seconds
        self._https = {writes: _Http(call_seconds, writes=writes) for writes in (False, True)}
        self._clients = {
            writes: stripe.StripeClient(
                key,
                base_addresses={"api": base, "meter_events": base} if base else {},
                http_client=http,
                max_network_retries=RETRIES,
            )
            for writes, http in self._https.items()
        }

    async def close(self) -> None:
        """Close the connections."""
        for http in self._https.values():
            await http.close_async()

    async def get(self, path: str, **params: Any) -> Answer:
        """GET a path under `/v1`; returns the body as it came."""
        response = await self._call("get", path, params, None)
        headers: Mapping[str, str] = response.headers
        return Answer(response.body.encode(), _date(headers))

    async def post(self, path: str, kind: type[T], params: dict[str, Any], *, idempotency_key: str | None) -> T:
        """POST to a path under `/v1`; returns the answer decoded as `kind`."""
        response = await self._call("post", path, params, idempotency_key)
        return decoded(response.body.encode(), kind)

    async def delete(self, path: str, params: dict[str, Any]) -> Answer:
        """DELETE a path under `/v1`; Stripe takes no idempotency key for it, and answers 404 the second time."""
        response = await self._call("delete", path, params, None)
        headers: Mapping[str, str] = response.headers
        return Answer(response.body.encode(), _date(headers))

    async def get_v2(self, path: str) -> bytes:
        """GET a path under `/v2`; returns the body as it came."""
        return (await self._call("get", path, {}, None, version="v2")).body.encode()

    async def post_v2(self, path: str, params: dict[str, Any], *, stream_token: str | None = None) -> bytes:
        """POST to a path under `/v2`; with the token of a meter event session, to the host of the stream."""
        extra = {"api_key": stream_token, "base": "meter_events"} if stream_token else {}
        return (await self._call("post", path, params | extra, None, version="v2")).body.encode()

    async def _call(
        self, method: str, path: str, params: dict[str, Any], key: str | None, *, version: str = "v1"
    ) -> stripe.StripeResponse:
        extra: dict[str, Any] = {"idempotency_key": key} if key else {}
        client = self._clients[method == "post"]
        try:
            async with asyncio.timeout(self._whole_seconds):
                return await client.raw_request_async(method, f"/{version}/{path}", **params, **extra)  # pyright: ignore
        except TimeoutError as error:
            raise StripeUnavailable("Stripe did not answer in time") from error
        except stripe.APIConnectionError as error:
            raise StripeUnavailable("Stripe could not be reached") from error
        except ValueError as error:
            raise StripeFailed("Stripe answered with an error") from error
        except stripe.StripeError as error:
            raise _refusal(method, path, error) from error


def _refusal(method: str, path: str, error: stripe.StripeError) -> StripeRefused | StripeUnavailable:
    """Log what Stripe said, and return the error that its caller is shown."""
    status, reason = error.http_status or 0, error.code
    param = cast("str | None", getattr(error, "param", None))
    words = (error.user_message or "").replace("\n", " ")[:_WORDS]
    where = f"{method.upper()} /v1/{path.partition('/')[0]}"
    missing = status == 404 or reason == "resource_missing"
    level = logging.INFO if missing or isinstance(error, stripe.CardError) else logging.WARNING
    log.log(
        level, "Stripe refused %s: %s (status %s, code %s, param %s, request %s)",
        where, words or "no words", status, reason, param, error.request_id,
    )  # fmt: skip
    if isinstance(error, stripe.RateLimitError):
        return StripeBusy("Stripe takes no more requests now; try again in a moment", retry_after=_wait(error))
    if status >= 500 or isinstance(error, stripe.APIError):
        return StripeFailed("Stripe answered with an error")
    said: dict[str, Any] = {"param": param, "reason": reason, "said": words, "request_id": error.request_id}
    if missing:
        return NoSuchObject("Stripe has no such object", **said)
    if isinstance(error, stripe.CardError):
        decline = getattr(error.error, "decline_code", None) if error.error else None
        return CardDeclined("the payment was declined", decline_code=cast("str | None", decline), **said)
    if isinstance(error, stripe.PermissionError):
        wanted = _PERMISSION.search(words)
        log.error("the Stripe key lacks a permission: %s", wanted[0] if wanted else words)
        return KeyRefused("Stripe refused the API key", **said)
    if isinstance(error, stripe.AuthenticationError):
        return KeyRefused("Stripe refused the API key", **said)
    return StripeRefused("Stripe did not accept this; the operator's log says why", **said)


def _wait(error: stripe.StripeError) -> int:
    """Seconds that Stripe asks to wait for, at least one."""
    value = str((error.headers or {}).get("retry-after", ""))
    return max(1, int(value)) if value.isascii() and value.isdigit() and len(value) < 6 else 1


def decoded(body: bytes, kind: type[T]) -> T:
    """Decode an answer; one that is not of the promised shape counts as no answer."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreadable("Stripe's answer could not be read") from error


def _date(headers: Mapping[str, str]) -> int:
    value = next((value for name, value in headers.items() if name.lower() == "date"), "")
    try:
        return int(email.utils.parsedate_to_datetime(value).timestamp())
    except ValueError:
        return int(time.time())
