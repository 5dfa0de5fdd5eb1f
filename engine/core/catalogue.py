"""The plan catalogue: what is sold, and the policy of access; `plans.toml`."""

from __future__ import annotations

import hashlib
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from interlock.engine.errors import BadConfiguration

_Text = Annotated[str, Meta(min_length=1, max_length=255)]


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One plan.  Exactly one of `price` and `lookup_key` names its Stripe price.  `trial_days` 0: no trial."""

    name: _Text
    price: _Text | None = None
    lookup_key: _Text | None = None
    trial_days: Annotated[int, Meta(ge=0, le=730)] = 0
    features: tuple[_Text, ...] = ()


class AccessPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long access goes on after the first failed payment, in days."""

    past_due_grace_days: Annotated[int, Meta(ge=0, le=365)] = 7


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """All plans by key, and the access policy."""

    access: AccessPolicy = AccessPolicy()
    plans: dict[_Text, Plan] = {}

    @cached_property
    def digest(self) -> str:
        """Changes whenever anything in the catalogue does: what was drawn from another one is drawn anew."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]

    def plan_of(self, price_id: str, lookup_key: str | None) -> tuple[str, Plan] | None:
        """Return (key, plan) of the plan that sells this price, None where no plan names it."""
        for key, plan in self.plans.items():
            if price_id == plan.price or (lookup_key is not None and lookup_key == plan.lookup_key):
                return key, plan
        return None


def read_catalogue(text: str) -> Catalogue:
    """Read a `plans.toml`; raise BadConfiguration, in words, where it does not fit."""
    try:
        catalogue = msgspec.convert(tomllib.loads(text), Catalogue)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadConfiguration(f"PLANS_FILE: {error}") from error
    for key, plan in catalogue.plans.items():
        if (plan.price is None) == (plan.lookup_key is None):
            raise BadConfiguration(f"PLANS_FILE: plan {key!r} needs either a price or a lookup_key")
    return catalogue


def load_catalogue(path: Path) -> Catalogue:
    """Read the catalogue's file; raise BadConfiguration where it is missing or does not fit."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"PLANS_FILE: {path}: {error}") from error
    return read_catalogue(text)
