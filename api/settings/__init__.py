"""The settings, read once from the environment.  What is unsafe refuses to start and is named.

A setting comes from `NAME`, or from the file that `NAME_FILE` points at, never from both, and is never empty.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from interlock.api.settings.algorithms import check_public_key, needs_secret
from interlock.api.settings.urls import check_jwks_url, check_origin
from interlock.engine import BadConfiguration, Catalogue, Clock, Config, load_catalogue

Environ = Mapping[str, str]
T = TypeVar("T")

MAX_SETTING: Final = 64 * 1024
MIN_WEBHOOK_SECRET: Final = 10
MIN_ADMIN_TOKEN: Final = 10
_STRIPE_KEY: Final = re.compile(r"(sk|rk)_(test|live)_[!-~]{3,}")
_SECRET_BYTES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}


class Secret:
    """A text that no repr, log line or error shows; `reveal()` is the one way to it."""

    __slots__ = ("_text", "digest")

    def __init__(self, text: str) -> None:
        self._text = text
        self.digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        """SHA-256 of it, to compare with."""

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class TokenSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How users' bearer tokens are verified.  Exactly one of the three key sources is set."""

    algorithm: str
    secret: Secret | None = None
    public_key: Secret | None = None
    jwks_url: str | None = None
    audience: str | None = None
    issuer: str | None = None
    user_claim: str = "sub"
    email_claim: str = "email"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the service is told, checked."""

    stripe_secret_key: Secret
    stripe_webhook_secrets: tuple[Secret, ...]
    app_url: str
    tokens: TokenSettings | None = None
    """None where the host that embeds this names the users."""
    stripe_api_base: str | None = None
    database_url: str = "sqlite:///interlock.db"
    admin_token: Secret | None = None
    plans_file: Path = Path("plans.toml")
    reconcile_every: float = 3600
    retention_days: int = 90

    def engine_config(self, clock: Clock = time.time, catalogue: Catalogue | None = None) -> Config:
        """Make what the engine needs, with the catalogue read from its file; raise BadConfiguration if it is wrong."""
        return Config(
            stripe_key=self.stripe_secret_key.reveal(),
            webhook_secrets=tuple(secret.reveal() for secret in self.stripe_webhook_secrets),
            database_url=self.database_url,
            catalogue=catalogue or load_catalogue(self.plans_file),
            app_url=self.app_url,
            stripe_base=self.stripe_api_base,
            reconcile_every=self.reconcile_every,
            retention_days=self.retention_days,
            clock=clock,
        )


def load_settings(environ: Environ | None = None, *, bearers: bool = True) -> Settings:
    """Read and check every setting; raise BadConfiguration, naming the setting, at the first that does not fit.

    `bearers` False is for a host that names the users itself: no key to verify tokens with is needed.
    """
    env = os.environ if environ is None else environ
    key = _stripe_key(_required(env, "STRIPE_SECRET_KEY"))
    base = _optional(env, "STRIPE_API_BASE", lambda text: check_origin("STRIPE_API_BASE", text))
    live = "_live_" in key[:9]
    if live and base not in (None, "https://api.stripe.com"):
        raise BadConfiguration("STRIPE_API_BASE: a live STRIPE_SECRET_KEY is not sent to another origin than Stripe's")
    app_url = check_origin("APP_URL", _required(env, "APP_URL"), with_path=True)
    if live and not app_url.startswith("https://"):
        raise BadConfiguration("APP_URL: with a live STRIPE_SECRET_KEY it must be https")
    return Settings(
        stripe_secret_key=Secret(key),
        stripe_webhook_secrets=_webhook_secrets(_required(env, "STRIPE_WEBHOOK_SECRET")),
        stripe_api_base=base,
        database_url=_optional(env, "DATABASE_URL", _database_url) or "sqlite:///interlock.db",
        tokens=_tokens(env) if bearers else None,
        admin_token=_optional(env, "ADMIN_TOKEN", _admin_token),
        plans_file=Path(_read(env, "PLANS_FILE") or "plans.toml"),
        app_url=app_url,
        reconcile_every=_number(env, "RECONCILE_EVERY", 3600),
        retention_days=int(_number(env, "RETENTION_DAYS", 90, whole=True)),
    )


def _read(env: Environ, name: str) -> str | None:
    """Return a setting's text from NAME or NAME_FILE, None where neither is there."""
    file_name = f"{name}_FILE"
    given, path = env.get(name), env.get(file_name)
    if given is not None and path is not None:
        raise BadConfiguration(f"{name}: both {name} and {file_name} are set; leave one")
    if path is not None:
        given = _read_file(file_name, path)
    if given is None:
        return None
    if not given.strip():
        raise BadConfiguration(f"{name if path is None else file_name}: set, but empty")
    if "\0" in given:
        raise BadConfiguration(f"{name}: it has a NUL in it")
    return given


def _read_file(file_name: str, path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_SETTING + 1)
        text = raw.decode("utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is not UTF-8 text"
        raise BadConfiguration(f"{file_name}: can't read {path}: {reason}") from None
    if len(raw) > MAX_SETTING:
        raise BadConfiguration(f"{file_name}: {path} is longer than {MAX_SETTING} bytes")
    return text.rstrip("\r\n")


def _required(env: Environ, name: str) -> str:
    text = _read(env, name)
    if text is None:
        raise BadConfiguration(f"{name}: not set, and it is required")
    return text


def _optional(env: Environ, name: str, check: Callable[[str], T]) -> T | None:
    text = _read(env, name)
    return None if text is None else check(text)


def _number(env: Environ, name: str, default: float, *, whole: bool = False) -> float:
    text = _read(env, name)
    if text is None:
        return default
    try:
        number = float(int(text)) if whole else float(text)
    except (ValueError, OverflowError):
        raise BadConfiguration(f"{name}: {'a whole' if whole else 'a'} number is needed") from None
    if not math.isfinite(number) or not 0 <= number <= 1e9:
        raise BadConfiguration(f"{name}: it must be 0 or more, and no more than 1000000000")
    return number


def _stripe_key(text: str) -> str:
    key = text.strip()
    if not _STRIPE_KEY.fullmatch(key):
        raise BadConfiguration("STRIPE_SECRET_KEY: it must look like sk_test_…, sk_live_…, rk_test_… or rk_live_…")
    return key


def _webhook_secrets(text: str) -> tuple[Secret, ...]:
    secrets = [part.strip() for part in text.split(",")]
    if not all(secrets):
        raise BadConfiguration("STRIPE_WEBHOOK_SECRET: one of the comma separated secrets is empty")
    if any(len(secret) < MIN_WEBHOOK_SECRET for secret in secrets):
        raise BadConfiguration(f"STRIPE_WEBHOOK_SECRET: a secret shorter than {MIN_WEBHOOK_SECRET} characters")
    return tuple(map(Secret, secrets))


def _admin_token(text: str) -> Secret:
    token = text.strip()
    if len(token) < MIN_ADMIN_TOKEN:
        raise BadConfiguration(f"ADMIN_TOKEN: shorter than {MIN_ADMIN_TOKEN} characters")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise BadConfiguration("ADMIN_TOKEN: only printable ASCII without spaces can be sent in a header")
    return Secret(token)


def _database_url(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if separator and scheme == "sqlite":
        path = rest.removeprefix("/")
        # A database in memory would forget what was answered 200.
        if not rest.startswith("/") or not path or path.startswith(":") or path.endswith("/") or "?" in path:
            raise BadConfiguration("DATABASE_URL: for SQLite it is sqlite:///name.db or sqlite:////absolute/name.db")
    elif not separator or scheme not in ("postgresql", "postgres") or not rest or rest.startswith("/"):
        raise BadConfiguration("DATABASE_URL: it must start with sqlite:/// or be postgresql://host/name")
    return text


def _tokens(env: Environ) -> TokenSettings:
    secret, public_key, jwks_url = (_read(env, name) for name in ("JWT_SECRET", "JWT_PUBLIC_KEY", "JWT_JWKS_URL"))
    if sum(source is not None for source in (secret, public_key, jwks_url)) != 1:
        raise BadConfiguration("JWT_SECRET, JWT_PUBLIC_KEY, JWT_JWKS_URL: exactly one of the three must be set")
    algorithm = _read(env, "JWT_ALGORITHM") or "HS256"
    if needs_secret(algorithm) != (secret is not None):
        raise BadConfiguration(f"JWT_ALGORITHM: {algorithm} does not fit the key: HS… goes with JWT_SECRET only")
    if secret is not None:
        _check_secret(secret, algorithm)
    if public_key is not None:
        check_public_key(public_key, algorithm)
    return TokenSettings(
        algorithm=algorithm,
        secret=None if secret is None else Secret(secret),
        public_key=None if public_key is None else Secret(public_key),
        jwks_url=None if jwks_url is None else check_jwks_url(jwks_url),
        audience=_read(env, "JWT_AUDIENCE"),
        issuer=_read(env, "JWT_ISSUER"),
    )


def _check_secret(secret: str, algorithm: str) -> None:
    need = _SECRET_BYTES[algorithm]
    if len(secret.encode()) < need:
        raise BadConfiguration(f"JWT_SECRET: shorter than the {need} bytes that {algorithm} needs")
    if len(set(secret)) == 1:
        raise BadConfiguration("JWT_SECRET: one character repeated is no secret")
    if "-----BEGIN" in secret:
        raise BadConfiguration("JWT_SECRET: it is a PEM key; JWT_PUBLIC_KEY takes those")
