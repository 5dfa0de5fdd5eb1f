"""The settings as values, checked."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import msgspec

from interlock.api.settings.secret import Secret
from interlock.engine import Catalogue, Clock, Config, load_catalogue


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
    """Everything that the service takes from its environment."""

    stripe_secret_key: Secret
    stripe_webhook_secrets: tuple[Secret, ...]
    app_url: str
    tokens: TokenSettings | None = None
    """None where the host that embeds this names the users."""
    stripe_api_base: str | None = None
    database_url: str = "sqlite:///interlock.db"
    admin_tokens: tuple[Secret, ...] = ()
    service_tokens: tuple[Secret, ...] = ()
    user_metadata_keys: tuple[str, ...] = ("user_id",)
    hook_url: str | None = None
    hook_secrets: tuple[Secret, ...] = ()
    cors_origins: tuple[str, ...] = ()
    log_level: str = "INFO"
    log_format: Literal["text", "json"] = "text"
    sandbox_clock: str | None = None
    """The stand-in Stripe whose clock this service follows."""
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
            user_metadata_keys=self.user_metadata_keys,
            hook_url=self.hook_url,
            hook_secrets=tuple(secret.reveal() for secret in self.hook_secrets),
            clock=clock,
        )
