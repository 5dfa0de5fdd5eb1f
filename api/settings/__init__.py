"""The settings, read once from the environment.  What is unsafe refuses to start and is named.

A setting comes from `NAME`, or from the file that `NAME_FILE` points at, never from both, and is never empty.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal, cast

from interlock.api.settings.checks import (
    bearers,
    cors_origins,
    database_url,
    hook,
    metadata_keys,
    stripe_key,
    tokens,
    webhook_secrets,
)
from interlock.api.settings.reading import Environ, number, one_of, optional, read, required
from interlock.api.settings.secret import Secret
from interlock.api.settings.urls import check_origin
from interlock.api.settings.values import Settings, TokenSettings
from interlock.engine import BadConfiguration

__all__ = ["Secret", "Settings", "TokenSettings", "load_settings"]

LEVELS: Final = ("INFO", "DEBUG", "WARNING", "ERROR", "CRITICAL")


def load_settings(environ: Environ | None = None, *, with_tokens: bool = True) -> Settings:
    """Read and check every setting; raise BadConfiguration, naming the setting, at the first that does not fit.

    `with_tokens` False is for a host that names the users itself: no key to verify tokens with is needed.
    """
    env = os.environ if environ is None else environ
    key = stripe_key(required(env, "STRIPE_SECRET_KEY"))
    base = optional(env, "STRIPE_API_BASE", lambda text: check_origin("STRIPE_API_BASE", text))
    live = "_live_" in key[:9]
    if live and base not in (None, "https://api.stripe.com"):
        raise BadConfiguration("STRIPE_API_BASE: a live STRIPE_SECRET_KEY is not sent to another origin than Stripe's")
    app_url = check_origin("APP_URL", required(env, "APP_URL"), with_path=True)
    if live and not app_url.startswith("https://"):
        raise BadConfiguration("APP_URL: with a live STRIPE_SECRET_KEY it must be https")
    sandbox_clock = optional(env, "SANDBOX_CLOCK", lambda text: check_origin("SANDBOX_CLOCK", text))
    if live and sandbox_clock is not None:
        raise BadConfiguration("SANDBOX_CLOCK: a live STRIPE_SECRET_KEY goes by the real time")
    hook_url, hook_secrets = hook(env)
    return Settings(
        stripe_secret_key=Secret(key),
        stripe_webhook_secrets=webhook_secrets(required(env, "STRIPE_WEBHOOK_SECRET")),
        stripe_api_base=base,
        database_url=optional(env, "DATABASE_URL", database_url) or "sqlite:///interlock.db",
        tokens=tokens(env) if with_tokens else None,
        admin_tokens=optional(env, "ADMIN_TOKEN", lambda text: bearers("ADMIN_TOKEN", text)) or (),
        service_tokens=optional(env, "SERVICE_TOKEN", lambda text: bearers("SERVICE_TOKEN", text)) or (),
        user_metadata_keys=metadata_keys(env),
        hook_url=hook_url,
        hook_secrets=hook_secrets,
        cors_origins=cors_origins(env, app_url),
        log_level=one_of(env, "LOG_LEVEL", LEVELS),
        log_format=cast("Literal['text', 'json']", one_of(env, "LOG_FORMAT", ("text", "json"))),
        sandbox_clock=sandbox_clock,
        plans_file=Path(read(env, "PLANS_FILE") or "plans.toml"),
        app_url=app_url,
        reconcile_every=number(env, "RECONCILE_EVERY", 3600),
        retention_days=int(number(env, "RETENTION_DAYS", 90, whole=True)),
    )
