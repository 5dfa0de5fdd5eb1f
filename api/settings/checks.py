"""What a setting's text must be.  Each check names the setting and says what is wrong; none shows a secret."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from interlock.api.settings.algorithms import check_public_key, needs_secret
from interlock.api.settings.reading import Environ, parts, read
from interlock.api.settings.secret import Secret
from interlock.api.settings.urls import check_hook_url, check_jwks_url, check_origin
from interlock.api.settings.values import TokenSettings
from interlock.engine import BadConfiguration

MIN_WEBHOOK_SECRET: Final = 10
MIN_BEARER: Final = 10
MIN_HOOK_BYTES: Final = 24
MAX_HOOK_BYTES: Final = 64
"""Bytes of a secret by the Standard Webhooks specification."""
MAX_METADATA_KEY: Final = 40
"""Characters of a key of Stripe's metadata."""
MAX_CLAIM: Final = 200
_STRIPE_KEY: Final = re.compile(r"(sk|rk)_(test|live)_[!-~]{3,}")
_SECRET_BYTES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}


def stripe_key(text: str) -> str:
    key = text.strip()
    if not _STRIPE_KEY.fullmatch(key):
        raise BadConfiguration("STRIPE_SECRET_KEY: it must look like sk_test_…, sk_live_…, rk_test_… or rk_live_…")
    return key


def webhook_secrets(text: str) -> tuple[Secret, ...]:
    secrets = [part.strip() for part in text.split(",")]
    if not all(secrets):
        raise BadConfiguration("STRIPE_WEBHOOK_SECRET: one of the comma separated secrets is empty")
    if any(len(secret) < MIN_WEBHOOK_SECRET for secret in secrets):
        raise BadConfiguration(f"STRIPE_WEBHOOK_SECRET: a secret shorter than {MIN_WEBHOOK_SECRET} characters")
    return tuple(map(Secret, secrets))


def bearers(name: str, text: str) -> tuple[Secret, ...]:
    """Return tokens that are sent in a header, several with commas between them."""
    tokens = parts(name, text)
    if any(len(token) < MIN_BEARER for token in tokens):
        raise BadConfiguration(f"{name}: shorter than {MIN_BEARER} characters")
    if not all(token.isascii() and token.isprintable() and " " not in token for token in tokens):
        raise BadConfiguration(f"{name}: only printable ASCII without spaces can be sent in a header")
    return tuple(map(Secret, tokens))


def hook(env: Environ) -> tuple[str | None, tuple[Secret, ...]]:
    """Return where changes are sent and the secrets that sign them: both, or neither."""
    url, secrets = read(env, "HOOK_URL"), read(env, "HOOK_SECRET")
    if (url is None) != (secrets is None):
        raise BadConfiguration("HOOK_URL, HOOK_SECRET: both are needed, or neither")
    if url is None or secrets is None:
        return None, ()
    return check_hook_url(url), tuple(_hook_secret(part) for part in parts("HOOK_SECRET", secrets))


def _hook_secret(text: str) -> Secret:
    try:
        size = len(base64.b64decode(text.removeprefix("whsec_"), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if not text.startswith("whsec_") or not MIN_HOOK_BYTES <= size <= MAX_HOOK_BYTES:
        raise BadConfiguration(
            f"HOOK_SECRET: it is whsec_ and {MIN_HOOK_BYTES} to {MAX_HOOK_BYTES} random bytes in Base64; "
            "make one: python -c \"import base64, os; print('whsec_' + base64.b64encode(os.urandom(32)).decode())\""
        )
    return Secret(text)


def metadata_keys(env: Environ) -> tuple[str, ...]:
    """Return the keys of Stripe's metadata that name the user."""
    keys = parts("USER_METADATA_KEYS", read(env, "USER_METADATA_KEYS") or "user_id")
    if any(len(key) > MAX_METADATA_KEY or {"[", "]"} & set(key) or not key.isprintable() for key in keys):
        raise BadConfiguration(
            f"USER_METADATA_KEYS: a key of Stripe's metadata has at most {MAX_METADATA_KEY} characters and no brackets"
        )
    return tuple(keys)


def cors_origins(env: Environ, app_url: str) -> tuple[str, ...]:
    """Return the origins whose pages may ask from a browser: the frontend's, where nothing else is said."""
    text = read(env, "CORS_ORIGINS", may_be_empty=True)
    if text is None:
        scheme, _, rest = app_url.partition("://")
        return (f"{scheme}://{rest.partition('/')[0]}",)
    if not text.strip():
        return ()
    return tuple(check_origin("CORS_ORIGINS", part) for part in parts("CORS_ORIGINS", text))


def claim(env: Environ, name: str, default: str) -> str:
    """Return the name of a claim in users' tokens."""
    text = (read(env, name) or default).strip()
    if len(text) > MAX_CLAIM or not text.isprintable():
        raise BadConfiguration(f"{name}: the name of a claim has at most {MAX_CLAIM} printable characters")
    return text


def database_url(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if separator and scheme == "sqlite":
        path = rest.removeprefix("/")
        # A database in memory would forget what was answered 200.
        if not rest.startswith("/") or not path or path.startswith(":") or path.endswith("/") or "?" in path:
            raise BadConfiguration("DATABASE_URL: for SQLite it is sqlite:///name.db or sqlite:////absolute/name.db")
    elif not separator or scheme not in ("postgresql", "postgres") or not rest or rest.startswith("/"):
        raise BadConfiguration("DATABASE_URL: it must start with sqlite:/// or be postgresql://host/name")
    return text


def tokens(env: Environ) -> TokenSettings:
    secret, public_key, jwks_url = (read(env, name) for name in ("JWT_SECRET", "JWT_PUBLIC_KEY", "JWT_JWKS_URL"))
    if sum(source is not None for source in (secret, public_key, jwks_url)) != 1:
        raise BadConfiguration("JWT_SECRET, JWT_PUBLIC_KEY, JWT_JWKS_URL: exactly one of the three must be set")
    algorithm = read(env, "JWT_ALGORITHM") or "HS256"
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
        audience=read(env, "JWT_AUDIENCE"),
        issuer=read(env, "JWT_ISSUER"),
        user_claim=claim(env, "USER_CLAIM", "sub"),
        email_claim=claim(env, "EMAIL_CLAIM", "email"),
    )


def _check_secret(secret: str, algorithm: str) -> None:
    need = _SECRET_BYTES[algorithm]
    if len(secret.encode()) < need:
        raise BadConfiguration(f"JWT_SECRET: shorter than the {need} bytes that {algorithm} needs")
    if len(set(secret)) == 1:
        raise BadConfiguration("JWT_SECRET: one character repeated is no secret")
    if "-----BEGIN" in secret:
        raise BadConfiguration("JWT_SECRET: it is a PEM key; JWT_PUBLIC_KEY takes those")
