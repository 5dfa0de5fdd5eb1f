"""The tables of `plans.toml`, as they stand in the file: one struct a table, each key with its bounds.

`catalogue` reads the file into them, checks what one table alone can't say, and answers questions about it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255)]
Path: TypeAlias = Annotated[str, Meta(pattern=r"^/(?!/)", max_length=2000)]
"""A path under APP_URL: it begins with one slash, so that nobody is sent to another site."""
Limit: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)] | Literal["unlimited"]
MOST: Final = 10_000
"""The largest quantity that is ever sold."""


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """From `min` to `max`, both included."""

    min: Annotated[int, Meta(ge=1, le=MOST)] = 1
    max: Annotated[int, Meta(ge=1, le=MOST)] = MOST


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One plan: `[plans.KEY]`.

    What is sold is one of `price` (a Stripe price id), `lookup_key`, or `prices` (interval → price id, else lookup
    key).  `product` and `also` name what is held as well: any price of that product, or old prices one by one.
    `sold` false: a retired plan, held and not offered.  `quantity`: what a buyer may choose.
    `trial_days` 0: no trial.  `addon`: sold beside a plan.  `limits`: feature → how much of it a period has.
    `amount`, `amounts`, `currency` and `interval` say to the sandbox and the test plugin what to sell; the service
    asks Stripe and does not read them.
    """

    name: Text
    price: Text | None = None
    lookup_key: Text | None = None
    prices: dict[Text, Text] = {}
    product: Text | None = None
    also: tuple[Text, ...] = ()
    sold: bool = True
    quantity: Annotated[int, Meta(ge=1, le=MOST)] | Range = Range()
    trial_days: Annotated[int, Meta(ge=0, le=730)] = 0
    features: tuple[Text, ...] = ()
    limits: dict[Text, Limit] = {}
    addon: bool = False
    amount: Annotated[int, Meta(ge=0)] | None = None
    amounts: dict[Text, Annotated[int, Meta(ge=0)]] = {}
    currency: Text | None = None
    interval: Text | None = None

    @property
    def quantities(self) -> Range:
        """What a buyer may choose, as a range: one number is a range of one."""
        return self.quantity if isinstance(self.quantity, Range) else Range(min=self.quantity, max=self.quantity)


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A feature that is counted: `[features.KEY]`.  A switch needs no table.

    `reset`: when the count begins anew: "month" (from the subscription's start, in an annual plan too), "period",
    "never".  `over`: "refuse" what is over the limit, or "allow" it (counted, billed).  `meter`: the event name
    of the Stripe meter that is told; None: counted here alone.  `alerts`: at which parts of the limit one is raised.
    """

    name: Text | None = None
    reset: Literal["month", "period", "never"] = "month"
    over: Literal["refuse", "allow"] = "refuse"
    meter: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    alerts: tuple[Annotated[float, Meta(gt=0, le=1)], ...] = ()


class Free(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a user without access has: `[free]`."""

    features: tuple[Text, ...] = ()
    limits: dict[Text, Limit] = {}


class AccessPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[access]`: days that access goes on after the first failed payment, and what paused collection means.

    `collection_paused`: "paid" (access to the end of what was paid for), "deny" or "grant".
    """

    past_due_grace_days: Annotated[int, Meta(ge=0, le=365)] = 7
    collection_paused: Literal["paid", "deny", "grant"] = "paid"


class CheckoutPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[checkout]`: where Stripe's page leads back to (under APP_URL), and what it asks for."""

    success: Path = "/?checkout=success&session_id={CHECKOUT_SESSION_ID}"
    cancel: Path = "/?checkout=canceled"
    automatic_tax: bool = False
    tax_ids: bool = False
    promotion_codes: bool = True
    address: Literal["auto", "required"] = "auto"
    payment_method: Literal["always", "if_required"] = "always"


class PortalPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[portal]`: where Stripe's portal leads back to, under APP_URL."""

    back: Path = "/"


class ChangePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[changes]`: when a change of plan takes effect, and how it is billed."""

    upgrade: Literal["now", "period_end"] = "now"
    downgrade: Literal["period_end", "now", "any"] = "period_end"
    unable_to_wait: Literal["period_end", "now"] = "period_end"
    bill: Literal["now", "next_invoice"] = "now"
    seats_bill: Literal["now", "next_invoice"] = "next_invoice"
    over_limit: Literal["refuse", "warn"] = "refuse"


class CancelPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[cancel]`: when users may end (`when`), and what happens to what is overdue (past_due, unpaid)."""

    when: Annotated[tuple[Literal["period_end", "now"], ...], Meta(min_length=1)] = ("period_end",)
    overdue: Literal["now", "period_end"] = "now"


class PausePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[pause]`: whether users may pause."""

    allowed: bool = False
