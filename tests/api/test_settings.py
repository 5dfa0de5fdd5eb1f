"""Row 19: an unsafe start is refused, and the setting is named.  No secret is ever shown."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from interlock.api.auth.tokens import Tokens, User
from interlock.api.http.problems import ApiError
from interlock.api.settings import load_settings
from interlock.engine.errors import BadConfiguration
from tests.kit.settings import COMMAND, environment, make_token, process_environment

PEM, INFO = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
RSA = rsa.generate_private_key(65537, 2048)
WEAK = rsa.generate_private_key(65537, 1024)
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
RSA_PEM = RSA.public_key().public_bytes(PEM, INFO).decode()
WEAK_PEM = WEAK.public_key().public_bytes(PEM, INFO).decode()
P384_PEM = P384.public_key().public_bytes(PEM, INFO).decode()
P256_PEM = P256.public_key().public_bytes(PEM, INFO).decode()
PRIVATE_PEM = RSA.private_bytes(PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
LIVE = "sk_live_0123456789abcdef"
KEYED = {"JWT_SECRET": None, "JWT_PUBLIC_KEY": RSA_PEM, "JWT_ALGORITHM": "RS256"}

HOOK = "whsec_" + base64.b64encode(bytes(range(32))).decode()

UNSAFE: list[tuple[str, dict[str, str | None]]] = [
    ("SERVICE_TOKEN", {"SERVICE_TOKEN": "short"}),
    ("SERVICE_TOKEN", {"SERVICE_TOKEN": "long-enough-for-one,,and-another"}),
    ("SERVICE_TOKEN", {"SERVICE_TOKEN": "long enough, and with a space"}),
    ("USER_METADATA_KEYS", {"USER_METADATA_KEYS": "uid,"}),
    ("USER_METADATA_KEYS", {"USER_METADATA_KEYS": "x" * 41}),
    ("USER_METADATA_KEYS", {"USER_METADATA_KEYS": "user[id]"}),
    ("HOOK_URL", {"HOOK_URL": "https://a.example/hook"}),
    ("HOOK_SECRET", {"HOOK_SECRET": HOOK}),
    ("HOOK_URL", {"HOOK_URL": "http://a.example/hook", "HOOK_SECRET": HOOK}),
    ("HOOK_SECRET", {"HOOK_URL": "https://a.example/hook", "HOOK_SECRET": "whsec_c2hvcnQ="}),
    ("HOOK_SECRET", {"HOOK_URL": "https://a.example/hook", "HOOK_SECRET": HOOK.removeprefix("whsec_")}),
    ("HOOK_SECRET", {"HOOK_URL": "https://a.example/hook", "HOOK_SECRET": "whsec_not-base-64-at-all-not-at-all-not!"}),
    ("CORS_ORIGINS", {"CORS_ORIGINS": "*"}),
    ("CORS_ORIGINS", {"CORS_ORIGINS": "https://a.example/app"}),
    ("CORS_ORIGINS", {"CORS_ORIGINS": "https://a.example,"}),
    ("LOG_LEVEL", {"LOG_LEVEL": "LOUD"}),
    ("LOG_FORMAT", {"LOG_FORMAT": "xml"}),
    ("USER_CLAIM", {"USER_CLAIM": ""}),
    ("APP_URL", {"APP_URL": "https://a.example/app?x=1"}),
    ("SANDBOX_CLOCK", {"SANDBOX_CLOCK": "127.0.0.1:8001"}),
    (
        "SANDBOX_CLOCK",
        {
            "SANDBOX_CLOCK": "http://127.0.0.1:8001",
            "STRIPE_SECRET_KEY": LIVE,
            "STRIPE_API_BASE": None,
            "APP_URL": "https://a.example",
        },
    ),
    ("STRIPE_SECRET_KEY", {"STRIPE_SECRET_KEY": None}),
    ("STRIPE_SECRET_KEY", {"STRIPE_SECRET_KEY": ""}),
    ("STRIPE_SECRET_KEY", {"STRIPE_SECRET_KEY": "0123456789abcdef"}),
    ("STRIPE_SECRET_KEY", {"STRIPE_SECRET_KEY": "pk_test_0123456789abcdef"}),
    ("STRIPE_SECRET_KEY", {"STRIPE_SECRET_KEY": "sk_test_1"}),
    ("STRIPE_WEBHOOK_SECRET", {"STRIPE_WEBHOOK_SECRET": None}),
    ("STRIPE_WEBHOOK_SECRET", {"STRIPE_WEBHOOK_SECRET": ""}),
    ("STRIPE_WEBHOOK_SECRET", {"STRIPE_WEBHOOK_SECRET": "  "}),
    ("STRIPE_WEBHOOK_SECRET", {"STRIPE_WEBHOOK_SECRET": "short"}),
    ("STRIPE_WEBHOOK_SECRET", {"STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdef,"}),
    ("STRIPE_WEBHOOK_SECRET", {"STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdef,,whsec_0123456789abcdef"}),
    ("STRIPE_API_BASE", {"STRIPE_SECRET_KEY": LIVE, "APP_URL": "https://a.example"}),
    ("STRIPE_API_BASE", {"STRIPE_API_BASE": "not a url"}),
    ("STRIPE_API_BASE", {"STRIPE_API_BASE": "ftp://127.0.0.1"}),
    ("STRIPE_API_BASE", {"STRIPE_API_BASE": "http://user:pw@127.0.0.1"}),
    ("STRIPE_API_BASE", {"STRIPE_API_BASE": "http://127.0.0.1:8001/v1"}),
    ("STRIPE_API_BASE", {"STRIPE_API_BASE": "http://127.0.0.1:99999"}),
    ("DATABASE_URL", {"DATABASE_URL": ""}),
    ("DATABASE_URL", {"DATABASE_URL": "interlock.db"}),
    ("DATABASE_URL", {"DATABASE_URL": "sqlite://"}),
    ("DATABASE_URL", {"DATABASE_URL": "sqlite:///"}),
    ("DATABASE_URL", {"DATABASE_URL": "sqlite:///:memory:"}),
    ("DATABASE_URL", {"DATABASE_URL": "mysql://host/name"}),
    ("JWT_SECRET", {"JWT_SECRET": None}),
    ("JWT_SECRET", {"JWT_SECRET": ""}),
    ("JWT_SECRET", {"JWT_SECRET": "only-thirty-one-bytes-long-0123"}),
    ("JWT_SECRET", {"JWT_SECRET": "x" * 32}),
    ("JWT_SECRET", {"JWT_SECRET": "forty-bytes-are-enough-for-HS256-but-not", "JWT_ALGORITHM": "HS512"}),
    ("JWT_SECRET", {"JWT_SECRET": RSA_PEM}),
    ("JWT_SECRET", {"JWT_PUBLIC_KEY": RSA_PEM}),
    ("JWT_SECRET", {"JWT_JWKS_URL": "https://issuer.example/jwks.json"}),
    ("JWT_ALGORITHM", {"JWT_ALGORITHM": "none"}),
    ("JWT_ALGORITHM", {"JWT_ALGORITHM": "hs256"}),
    ("JWT_ALGORITHM", {"JWT_ALGORITHM": ""}),
    ("JWT_ALGORITHM", {"JWT_ALGORITHM": "RS256"}),
    ("JWT_ALGORITHM", {**KEYED, "JWT_ALGORITHM": "HS256"}),
    ("JWT_ALGORITHM", {**KEYED, "JWT_ALGORITHM": None}),
    ("JWT_PUBLIC_KEY", {**KEYED, "JWT_PUBLIC_KEY": "not a key"}),
    ("JWT_PUBLIC_KEY", {**KEYED, "JWT_PUBLIC_KEY": PRIVATE_PEM}),
    ("JWT_PUBLIC_KEY", {**KEYED, "JWT_PUBLIC_KEY": WEAK_PEM}),
    ("JWT_PUBLIC_KEY", {**KEYED, "JWT_PUBLIC_KEY": P256_PEM}),
    ("JWT_PUBLIC_KEY", {**KEYED, "JWT_PUBLIC_KEY": P384_PEM, "JWT_ALGORITHM": "ES256"}),
    ("JWT_JWKS_URL", {"JWT_SECRET": None, "JWT_JWKS_URL": "http://issuer.example/jwks", "JWT_ALGORITHM": "RS256"}),
    ("JWT_JWKS_URL", {"JWT_SECRET": None, "JWT_JWKS_URL": "file:///etc/passwd", "JWT_ALGORITHM": "RS256"}),
    ("JWT_AUDIENCE", {"JWT_AUDIENCE": ""}),
    ("JWT_ISSUER", {"JWT_ISSUER": ""}),
    ("ADMIN_TOKEN", {"ADMIN_TOKEN": ""}),
    ("ADMIN_TOKEN", {"ADMIN_TOKEN": "brief"}),
    ("ADMIN_TOKEN", {"ADMIN_TOKEN": "with a space in the middle"}),
    ("APP_URL", {"APP_URL": None}),
    ("APP_URL", {"APP_URL": "example.com"}),
    ("APP_URL", {"APP_URL": "javascript:alert(1)"}),
    ("APP_URL", {"APP_URL": "https://a.example/?next=https://b.example"}),
    ("APP_URL", {"STRIPE_SECRET_KEY": LIVE, "STRIPE_API_BASE": None, "APP_URL": "http://a.example"}),
    ("RECONCILE_EVERY", {"RECONCILE_EVERY": "-1"}),
    ("RECONCILE_EVERY", {"RECONCILE_EVERY": "nan"}),
    ("RECONCILE_EVERY", {"RECONCILE_EVERY": "hourly"}),
    ("RETENTION_DAYS", {"RETENTION_DAYS": "-1"}),
    ("RETENTION_DAYS", {"RETENTION_DAYS": "1.5"}),
    ("JWT_SECRET", {"JWT_SECRET_FILE": "/dev/null"}),
    ("JWT_SECRET_FILE", {"JWT_SECRET": None, "JWT_SECRET_FILE": "/nonexistent"}),
    ("JWT_SECRET_FILE", {"JWT_SECRET": None, "JWT_SECRET_FILE": "/dev/null"}),
    ("PLANS_FILE", {"PLANS_FILE": "/nonexistent.toml"}),
]


@pytest.mark.parametrize(("name", "changes"), UNSAFE)
def test_each_unsafe_setting_is_refused_and_named(name: str, changes: dict[str, str | None], tmp_path: Path) -> None:
    """What is called unsafe does not start, and the message names the setting and shows no value."""
    env = environment(tmp_path, **changes)
    with pytest.raises(BadConfiguration) as refusal:
        load_settings(env).engine_config()
    words = str(refusal.value)
    assert name in words
    for value in (env.get("JWT_SECRET"), env.get("ADMIN_TOKEN"), env.get("STRIPE_SECRET_KEY")):
        assert not value or value not in words


def test_a_command_refuses_in_one_line(tmp_path: Path) -> None:
    """`interlock serve` with an unsafe setting: exit code 1, one line, no traceback."""
    env = process_environment(environment(tmp_path, JWT_SECRET="short"))
    done = subprocess.run([*COMMAND, "serve"], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "JWT_SECRET" in done.stderr
    assert "short" not in done.stderr.replace("shorter", "")


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    """Neither the settings nor the engine's configuration shows a secret in its repr or str."""
    env = environment(tmp_path)
    settings = load_settings(env)
    shown = f"{settings!r} {settings} {settings.tokens!r} {settings.engine_config()!r} {settings.engine_config()}"
    for name in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "JWT_SECRET", "ADMIN_TOKEN"):
        assert env[name] not in shown


def test_defaults_and_files(tmp_path: Path) -> None:
    """Each setting also comes from NAME_FILE, without the file's last line break; defaults are the README's."""
    (tmp_path / "secret").write_text("a-secret-from-a-file-of-32-bytes-and-more\n", "utf-8")
    env = environment(
        tmp_path,
        JWT_SECRET=None,
        JWT_SECRET_FILE=str(tmp_path / "secret"),
        DATABASE_URL=None,
        STRIPE_API_BASE=None,
        RECONCILE_EVERY=None,
        ADMIN_TOKEN=None,
    )
    settings = load_settings(env)
    assert settings.tokens is not None
    assert settings.tokens.secret is not None
    assert settings.tokens.secret.reveal() == "a-secret-from-a-file-of-32-bytes-and-more"
    assert settings.database_url == "sqlite:///interlock.db"
    assert (settings.stripe_api_base, settings.reconcile_every, settings.admin_tokens) == (None, 3600, ())
    assert settings.tokens.algorithm == "HS256"


def test_secrets_rotate(tmp_path: Path) -> None:
    """Several webhook secrets stand with commas between them."""
    env = environment(tmp_path, STRIPE_WEBHOOK_SECRET="whsec_0123456789abcdef, whsec_fedcba9876543210")
    assert load_settings(env).engine_config().webhook_secrets == ("whsec_0123456789abcdef", "whsec_fedcba9876543210")


@pytest.mark.parametrize("base", ["https://api.stripe.com", "https://api.stripe.com/"])
def test_a_live_key_goes_to_stripe(base: str, tmp_path: Path) -> None:
    """A live key may be sent to Stripe's own origin, named or not."""
    env = environment(tmp_path, STRIPE_SECRET_KEY=LIVE, APP_URL="https://a.example/app/", STRIPE_API_BASE=base)
    settings = load_settings(env)
    assert settings.engine_config().livemode
    assert settings.app_url == "https://a.example/app"


def test_what_a_backend_and_a_frontend_need(tmp_path: Path) -> None:
    """Hooks, origins, claims, metadata and logs: each as it is said, and the defaults where nothing is."""
    plain = load_settings(environment(tmp_path, APP_URL="https://a.example/app", SERVICE_TOKEN=None))
    assert plain.cors_origins == ("https://a.example",)
    assert (plain.service_tokens, plain.hook_url, plain.log_level, plain.log_format) == ((), None, "INFO", "text")
    assert plain.tokens is not None
    assert (plain.tokens.user_claim, plain.tokens.email_claim) == ("sub", "email")
    said = environment(
        tmp_path,
        CORS_ORIGINS="https://a.example, http://localhost:5173/",
        HOOK_URL="http://localhost:9/hook",
        HOOK_SECRET=f"{HOOK},{HOOK}",
        USER_METADATA_KEYS="uid, user_id",
        USER_CLAIM="org_id",
        EMAIL_CLAIM="https://a.example/email",
        LOG_LEVEL="debug",
        LOG_FORMAT="JSON",
    )
    settings = load_settings(said)
    assert settings.cors_origins == ("https://a.example", "http://localhost:5173")
    assert settings.tokens is not None
    assert (settings.tokens.user_claim, settings.tokens.email_claim) == ("org_id", "https://a.example/email")
    assert (settings.log_level, settings.log_format) == ("DEBUG", "json")
    config = settings.engine_config()
    assert (config.user_metadata_keys, config.hook_url) == (("uid", "user_id"), "http://localhost:9/hook")
    assert config.hook_secrets == (HOOK, HOOK)
    assert load_settings(environment(tmp_path, CORS_ORIGINS="")).cors_origins == ()
    assert HOOK not in f"{settings!r} {config!r}"


def test_claims_name_user_and_mail(tmp_path: Path) -> None:
    """USER_CLAIM is who pays, an organisation say; EMAIL_CLAIM is read where it holds an address."""
    settings = load_settings(environment(tmp_path, USER_CLAIM="org", EMAIL_CLAIM="mail")).tokens
    assert settings is not None
    tokens = Tokens(settings, time.time)

    def read(**claims: Any) -> User:
        return asyncio.run(tokens.user(make_token("somebody", **claims)))

    assert (read(org="o_1", mail="a@b.example").id, read(org="o_1", mail="a@b.example").email) == ("o_1", "a@b.example")
    assert [read(org="o_1", mail=mail).email for mail in (5, "", "nobody", "a b@c", "@")] == [None] * 5
    for org in (None, "", 5, "x" * 201, " "):
        with pytest.raises(ApiError, match="names no user"):
            read(org=org)


@pytest.mark.parametrize("form", ["text", "json"])
def test_log_lines(form: str, tmp_path: Path) -> None:
    """A failed start is one line; as JSON it has the time in UTC, the level and the words."""
    (tmp_path / "interlock.db").write_text("this is no database" * 100, "utf-8")
    env = process_environment(environment(tmp_path, LOG_FORMAT=form))
    done = subprocess.run([*COMMAND, "serve", "--port", "0"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "can't start" in line
    if form == "json":
        entry = json.loads(line)
        assert (entry["level"], entry["logger"]) == ("CRITICAL", "interlock")
        assert entry["at"].endswith("Z")
