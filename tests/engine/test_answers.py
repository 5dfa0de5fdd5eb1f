"""What the asker reads of Stripe beside the subscription itself, against the stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.engine.errors import StripeUnavailable
from interlock.engine.flow.answers import read_stripe
from interlock.engine.units.records import Question
from interlock.engine.wire.client import StripeClient
from tests.engine.bench import PRO, Bench

pytestmark = pytest.mark.anyio


def client(bench: Bench) -> StripeClient:
    return StripeClient(bench.config.stripe_key, bench.config.stripe_base, call_seconds=2, whole_seconds=4)


async def test_kind_n_why_the_payment_failed_is_read_from_the_payment(tmp_path: Path) -> None:
    """The invoice failed and no event of it says why; the state then has Stripe's decline code."""
    async with Bench(tmp_path) as bench:
        sub = await bench.subscribe()
        await bench.ask("POST", f"customers/{sub['customer']}", **{"invoice_settings[default_payment_method]": ""})
        bad = await bench.ask("POST", "payment_methods/pm_card_chargeCustomerFail/attach", customer=sub["customer"])
        await bench.ask(
            "POST", f"subscriptions/{sub['id']}", default_payment_method=bad["id"], proration_behavior="always_invoice",
            **{"items[0][id]": sub["items"]["data"][0]["id"], "items[0][price]": PRO, "items[0][quantity]": 3},
        )  # fmt: skip
        await bench.deliver(*await bench.events(sub["id"]))
        await bench.settled()
        state = await bench.state()
        assert state["state"] == "past_due"
        assert state["payment_problem"]["code"] == "generic_decline"
        assert "pay" in state["available_actions"]


async def test_kind_c_a_cut_list_of_items_is_read_to_its_end(tmp_path: Path) -> None:
    """Stripe carries the first items with the subscription; the others are listed."""
    async with Bench(tmp_path) as bench:
        sub = await bench.subscribe()
        held = bench.live.box.world.get("subscription", sub["id"])
        held["items"]["has_more"] = True
        stripe = client(bench)
        reading = await read_stripe(stripe, Question(sub["id"], 0, 1))
        await stripe.close()
        assert reading.facts is not None
        assert (reading.facts.items_cut, [item.price_id for item in reading.facts.items]) == (False, [PRO])


async def test_kind_e_an_absence_is_believed_when_another_read_is_answered(tmp_path: Path) -> None:
    """A 404 alone may be a gateway's; while Stripe answers nothing else, nothing is concluded from it."""
    async with Bench(tmp_path) as bench:
        stripe = client(bench)
        assert (await read_stripe(stripe, Question("sub_gone", 0, 1))).facts is None
        await bench.fault("subscriptions", kind="status", status=404, times=1)
        await bench.fault("subscriptions", kind="status", status=503, times=9)
        with pytest.raises(StripeUnavailable):
            await read_stripe(stripe, Question("sub_gone", 0, 1))
        await stripe.close()
