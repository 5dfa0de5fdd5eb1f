"""Stripe's error objects: one exception, and a constructor for each refusal the sandbox knows."""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]
NOTHING: Obj = {}
"""An absent hash, to read from; never written to."""
EMPTY: list[Any] = []
"""An absent list, likewise."""

DOC_URL = "https://stripe.com/docs/error-codes/"


class StripeError(Exception):
    """A refusal in Stripe's own shape.

    `keep` says that what happened before the refusal stays (a declined charge leaves its traces);
    otherwise the whole request is undone, as in Stripe.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",  # noqa: A002  Stripe's own name
        code: str | None = None,
        param: str | None = None,
        keep: bool = False,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.keep = keep
        self.headers = headers or {}
        error: Obj = {"message": message, "type": type}
        if code is not None:
            error |= {"code": code, "doc_url": DOC_URL + code.replace("_", "-")}
        if param is not None:
            error["param"] = param
        error |= {key: value for key, value in more.items() if value is not None}
        self.error = error

    @property
    def body(self) -> Obj:
        """The JSON body of the answer."""
        return {"error": self.error}


def invalid(message: str, param: str | None = None, code: str | None = None) -> StripeError:
    """400: a parameter that cannot be."""
    return StripeError(400, message, code=code, param=param)


def missing(param: str) -> StripeError:
    """400: a required parameter is not there."""
    return StripeError(400, f"Missing required param: {param}.", code="parameter_missing", param=param)


def no_such(kind: str, id: str, param: str = "id", status: int = 404) -> StripeError:  # noqa: A002
    """404 for the thing in the path, 400 for one named by a parameter."""
    noun = kind.rsplit(".", 1)[-1].replace("_", " ") if kind != "checkout.session" else "checkout.session"
    return StripeError(status, f"No such {noun}: '{id}'", code="resource_missing", param=param)


def unauthorized(key: str | None) -> StripeError:
    """401 without a key, or with one that is none of ours."""
    if not key:
        return StripeError(
            401,
            "You did not provide an API key. You need to provide your API key in the Authorization header, "
            "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        )
    return StripeError(401, f"Invalid API Key provided: {shown_key(key)}")


def shown_key(key: str) -> str:
    """A key with its middle hidden, as Stripe shows it."""
    return f"{key[:8]}{'*' * max(len(key) - 12, 4)}{key[-4:]}"


def unknown_route(method: str, path: str) -> StripeError:
    """404 for a URL that Stripe would not know, or that this sandbox has not."""
    return StripeError(
        404, f"Unrecognized request URL ({method}: {path}). The sandbox has no such resource; see api.sandbox."
    )


def reused_key(key: str) -> StripeError:
    """400: an idempotency key met again with other parameters."""
    return StripeError(
        400,
        "Keys for idempotent requests can only be used with the same parameters they were first used with. "
        f"Try using a key other than '{key}' if you meant to execute a different request.",
        type="idempotency_error",
    )


def declined(code: str, decline_code: str | None, message: str, **more: Any) -> StripeError:
    """402: the card said no."""
    return StripeError(402, message, type="card_error", code=code, decline_code=decline_code, keep=True, **more)
