"""The only room that calls Stripe.

Reads come back as bytes with the answer's `Date`, so that they go through the same decoding as webhooks do.
Writes carry idempotency keys that are the same for the same intent, so a repeated or doubled call has one
effect.  Errors: StripeRefused (Stripe said no), StripeUnavailable (no answer in time), and NoSuchObject.
"""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeVar, cast

import msgspec
import stripe

from interlock.engine.errors import StripeRefused, StripeUnavailable

T = TypeVar("T")

RETRIES: Final = 2
API_VERSION: Final[str] = stripe.api_version or ""


class NoSuchObject(StripeRefused):
    """Stripe has no object of an id; `param` names the parameter that held it, where it was not the path."""


class Unreadable(StripeUnavailable):
    """Stripe answered, and what it said is not of the promised shape."""


class Answer(NamedTuple):
    """What Stripe answered: the body, and when (seconds; by its clock, by ours where it does not say)."""

    body: bytes
    date: int


class _Http(stripe.HTTPXClient):
    """The SDK's HTTP client, without its use of httpx that is deprecated there: a form written out is content."""

    def _get_request_args_kwargs(self, method: str, url: str, headers: Mapping[str, str], post_data: Any) -> Any:
        where, how = cast("Any", super())._get_request_args_kwargs(method, url, headers, post_data)
        form = how.pop("data")
        return where, how | ({"content": form} if form else {})


class StripeClient:
    """Calls Stripe's API with one key; one try takes `call_seconds` at most, a call with its tries `whole_seconds`."""

    def __init__(
        self, key: str, base: str | None = None, *, call_seconds: float = 9.0, whole_seconds: float = 18.0
    ) -> None:
        stripe.enable_telemetry = False
        self._whole_seconds = whole_seconds
        self._http = _Http(timeout=call_seconds)
        self._client = stripe.StripeClient(
            key,
            base_addresses={"api": base} if base else {},
            http_client=self._http,
            max_network_retries=RETRIES,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close_async()

    async def get(self, path: str, **params: Any) -> Answer:
        """GET a path under `/v1`; returns the body as it came."""
        response = await self._call("get", path, params, None)
        headers: Mapping[str, str] = response.headers
        return Answer(response.body.encode(), _date(headers))

    async def post(self, path: str, kind: type[T], params: dict[str, Any], *, idempotency_key: str | None) -> T:
        """POST to a path under `/v1`; returns the answer decoded as `kind`."""
        response = await self._call("post", path, params, idempotency_key)
        return decoded(response.body.encode(), kind)

    async def _call(self, method: str, path: str, params: dict[str, Any], key: str | None) -> stripe.StripeResponse:
        extra: dict[str, Any] = {"idempotency_key": key} if key else {}
        try:
            async with asyncio.timeout(self._whole_seconds):
                return await self._client.raw_request_async(method, f"/v1/{path}", **params, **extra)  # pyright: ignore
        except TimeoutError as error:
            raise StripeUnavailable("Stripe did not answer in time") from error
        except stripe.APIConnectionError as error:
            raise StripeUnavailable("Stripe could not be reached") from error
        except stripe.InvalidRequestError as error:
            param = cast("str | None", error.param)
            if error.http_status == 404 or error.code == "resource_missing":
                raise NoSuchObject("Stripe has no such object", param) from error
            words = error.user_message or error.code or "invalid request"
            raise StripeRefused(f"Stripe refused: {words}", param) from error
        except (stripe.AuthenticationError, stripe.PermissionError) as error:
            raise StripeRefused("Stripe refused the API key") from error
        except stripe.RateLimitError as error:
            raise StripeUnavailable("Stripe asks to slow down") from error
        except (stripe.APIError, ValueError) as error:
            raise StripeUnavailable("Stripe answered with an error") from error
        except stripe.StripeError as error:
            raise StripeRefused(f"Stripe refused: {error.user_message or error.code or 'no reason given'}") from error


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
