"""Who is asking: a user's verified token, or a secret of the operator's or of your own backend."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, TypeAlias, cast

import jwt
from litestar.types import HTTPScope, WebSocketScope
from msgspec import Struct

from interlock.api.auth.jwks import JwksKeys
from interlock.api.http.problems import ApiError
from interlock.api.settings import Secret, TokenSettings
from interlock.api.settings.algorithms import key_fits
from interlock.engine import Clock, usable_user

HTTPConnectionScope: TypeAlias = HTTPScope | WebSocketScope

MAX_TOKEN: Final = 8 * 1024
MAX_EMAIL: Final = 512
MAX_VERIFIED: Final = 4096
VERIFIED_FOR: Final = 300
"""Seconds for which a verified token is not verified again: also how long a key may be gone before we notice."""


class User(Struct, frozen=True):
    """Whom a request is made for, and until when that is proven (seconds since 1970)."""

    id: str
    expires_at: float = math.inf
    email: str | None = None


class Refused(ApiError):
    """401: the bearer token is missing or does not prove who asks."""

    def __init__(self, detail: str) -> None:
        super().__init__("unauthorized", detail)


class Tokens:
    """Verifies users' tokens with one pinned algorithm, and remembers those it verified."""

    def __init__(self, settings: TokenSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._jwks = JwksKeys(settings.jwks_url, settings.algorithm) if settings.jwks_url else None
        self._key = _fixed_key(settings)
        self._verified: OrderedDict[bytes, tuple[User, float]] = OrderedDict()

    async def close(self) -> None:
        if self._jwks is not None:
            await self._jwks.close()

    async def user(self, token: str) -> User:
        """Return the user that the token names; raise Refused where it proves nothing."""
        if len(token) > MAX_TOKEN:
            raise Refused("The bearer token is too long.")
        now = self._clock()
        digest = hashlib.sha256(token.encode("latin-1", "replace")).digest()
        known = self._verified.get(digest)
        if known is not None:
            user, until = known
            if until - VERIFIED_FOR <= now < until:  # the lower bound: a clock that stepped back proves nothing
                self._verified.move_to_end(digest)
                return user
            del self._verified[digest]
        user = await self._verify(token, now)
        self._verified[digest] = (user, min(user.expires_at, now + VERIFIED_FOR))
        if len(self._verified) > MAX_VERIFIED:
            self._verified.popitem(last=False)
        return user

    async def _verify(self, token: str, now: float) -> User:
        algorithm = self._settings.algorithm
        header = _header(token, algorithm)
        key = self._key if self._jwks is None else await self._jwks.key(header.get("kid"))
        if key is None:
            raise Refused("The bearer token is signed with a key that is not known.")
        options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_jti": False}
        options |= {"verify_aud": self._settings.audience is not None, "verify_iss": self._settings.issuer is not None}
        try:
            # Times are compared below, on the service's own clock.
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                options=cast("Any", options),
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise Refused("The bearer token is not valid.") from None
        return self._user_of(claims, now)

    def _user_of(self, claims: dict[str, Any], now: float) -> User:
        expires_at, not_before = _seconds(claims.get("exp")), claims.get("nbf")
        if expires_at is None or expires_at <= now:
            raise Refused("The bearer token has expired, or does not say when it will.")
        if not_before is not None and (start := _seconds(not_before)) is not None and start > now:
            raise Refused("The bearer token is not valid yet.")
        if not_before is not None and _seconds(not_before) is None:
            raise Refused("The bearer token is not valid.")
        user_id = usable_user(claims.get(self._settings.user_claim))
        if user_id is None:
            raise Refused("The bearer token names no user.")
        return User(user_id, expires_at, _email(claims.get(self._settings.email_claim)))


def _fixed_key(settings: TokenSettings) -> Any:
    """Return the one key to verify with, parsed once; None where keys come from a JWKS."""
    source = settings.secret or settings.public_key
    if source is None:
        return None
    key = jwt.get_algorithm_by_name(settings.algorithm).prepare_key(source.reveal())
    assert settings.secret is not None or key_fits(key, settings.algorithm)
    return key


def _header(token: str, algorithm: str) -> dict[str, Any]:
    """Read what the token claims of itself; raise Refused where it names another algorithm than the pinned one."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise Refused("The bearer token is not a JWT.") from None
    if header.get("alg") != algorithm or "crit" in header:
        raise Refused("The bearer token is not signed in the way that is agreed on.")
    return header


def _email(value: Any) -> str | None:
    """Return an e-mail address that Stripe would take, None for anything else."""
    if not isinstance(value, str) or len(value) > MAX_EMAIL or not value.isprintable() or " " in value:
        return None
    return value if "@" in value[1:-1] else None


def _seconds(value: Any) -> float | None:
    """Return a NumericDate as seconds, None for anything else (True is no number here)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None


def bearer(scope: HTTPConnectionScope) -> str:
    """Return the one bearer token of a request; raise Refused where there is none, or more than one."""
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(values) != 1:
        raise Refused("A bearer token is needed.")
    scheme, _, token = values[0].decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refused("A bearer token is needed.")
    return token.strip()


def require_secret(scope: HTTPConnectionScope, secrets: Sequence[Secret]) -> None:
    """Raise Refused where the request's token is none of these; a 404 where there is none to have."""
    if not secrets:
        raise ApiError("not_found")
    given = hashlib.sha256(bearer(scope).encode("latin-1")).digest()
    right = [hmac.compare_digest(given, secret.digest) for secret in secrets]
    if not any(right):
        raise Refused("This is not the token of this route.")
