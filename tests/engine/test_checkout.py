"""Checkout and portal against the stand-in Stripe: one session an intent, one customer a user, one trial ever."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from interlock.engine.errors import (
    AlreadySubscribed,
    NoCustomer,
    StripeRefused,
    StripeUnavailable,
    UnknownPlan,
    UnknownPromotionCode,
)
from tests.engine.bench import Bench, eventually
from tests.kit.clock import Clock

pytestmark = pytest.mark.anyio


async def arrive(bench: Bench, *, about: str = "") -> None:
    """All of Stripe's events arrive, and what is asked about is settled."""
    await bench.deliver(*await bench.events(about))
    await bench.settled()


async def test_fifty_at_once_are_one_session_and_one_customer(tmp_path: Path) -> None:
    """Two tabs, doubled clicks: one checkout per intent."""
    async with Bench(tmp_path) as bench:
        sessions = await asyncio.gather(*(bench.engine.checkout("u_1", plan="pro") for _ in range(50)))
        assert len({(session.id, session.url, session.expires_at) for session in sessions}) == 1
        assert len(await bench.objects("checkout/sessions")) == 1
        (customer,) = await bench.objects("customers")
        assert customer["metadata"] == {"user_id": "u_1"}


async def test_a_session_says_whose_it_is_in_all_three_places(tmp_path: Path) -> None:
    """`client_reference_id`, the customer's metadata and the subscription's: Checkout writes all three."""
    async with Bench(tmp_path) as bench:
        session = await bench.engine.checkout("u_1", plan="pro", quantity=3)
        (at_stripe,) = await bench.objects("checkout/sessions")
        assert (at_stripe["id"], at_stripe["client_reference_id"]) == (session.id, "u_1")
        assert session.expires_at.endswith("Z")
        await bench.pay(session)
        (sub,) = await bench.objects("subscriptions")
        assert sub["metadata"]["user_id"] == "u_1"
        assert sub["items"]["data"][0]["quantity"] == 3
        await arrive(bench)
        state = await bench.state()
        assert (state["state"], state["plan"]["key"], state["plan"]["quantity"]) == ("trialing", "pro", 3)


async def test_another_plan_closes_the_session_before(tmp_path: Path) -> None:
    """One open session a user: the old one is expired at Stripe, so that nobody pays twice."""
    async with Bench(tmp_path) as bench:
        first = await bench.engine.checkout("u_1", plan="pro")
        second = await bench.engine.checkout("u_1", plan="pro", quantity=2)
        assert second.id != first.id
        by_id = {each["id"]: each["status"] for each in await bench.objects("checkout/sessions")}
        assert by_id == {first.id: "expired", second.id: "open"}
        again = await bench.engine.checkout("u_1", plan="pro")
        assert again.id not in by_id, "the same wish again is another intent, not the expired session"
        assert len(await bench.objects("customers")) == 1


async def test_a_session_that_ran_out_is_made_anew(tmp_path: Path) -> None:
    """An address that no longer works is never given."""
    clock = Clock(time.time())
    clock.run()
    async with Bench(tmp_path, clock=clock) as bench:
        first = await bench.engine.checkout("u_1", plan="pro")
        clock.at += 25 * 3_600
        await bench.panel("clock/advance", seconds=25 * 3_600)
        second = await bench.engine.checkout("u_1", plan="pro")
        assert second.id != first.id
        assert second.expires_at > first.expires_at


async def test_a_lost_answer_is_no_second_session(tmp_path: Path) -> None:
    """Stripe did it and the answer was lost: the same intent has the same idempotency key."""
    async with Bench(tmp_path) as bench:
        for path in ("customers", "checkout/sessions"):
            await bench.fault(path, method="POST", lost=True, times=1)
        await bench.engine.checkout("u_1", plan="pro")
        assert len(await bench.objects("checkout/sessions")) == 1
        assert len(await bench.objects("customers")) == 1


async def test_while_a_subscription_lives_there_is_no_checkout(tmp_path: Path) -> None:
    """409 in every living state; after the end a new one may begin, with the same customer and without a trial."""
    async with Bench(tmp_path) as bench:
        session = await bench.engine.checkout("u_1", plan="pro")
        await bench.pay(session)
        await arrive(bench)
        assert (await bench.state())["state"] == "trialing"
        with pytest.raises(AlreadySubscribed, match="portal"):
            await bench.engine.checkout("u_1", plan="pro")
        (sub,) = await bench.objects("subscriptions")
        await bench.ask("DELETE", f"subscriptions/{sub['id']}")
        await arrive(bench)
        assert (await bench.state())["available_actions"] == ["checkout", "portal"]
        again = await bench.engine.checkout("u_1", plan="pro")
        await bench.pay(again)
        await arrive(bench)
        second = next(each for each in await bench.objects("subscriptions") if each["id"] != sub["id"])
        assert (second["status"], second["trial_end"], second["customer"]) == ("active", None, sub["customer"])


async def test_a_trial_that_was_had_elsewhere_counts(tmp_path: Path) -> None:
    """One trial per user, ever: also one that began without our checkout."""
    async with Bench(tmp_path) as bench:
        sub = await bench.subscribe(trial_period_days=7)
        await bench.ask("DELETE", f"subscriptions/{sub['id']}")
        await arrive(bench)
        session = await bench.engine.checkout("u_1", plan="pro")
        await bench.pay(session)
        newest, *_ = await bench.objects("subscriptions")
        assert (newest["trial_end"], newest["status"]) == (None, "active")


async def test_a_session_completed_unheard_is_not_paid_twice(tmp_path: Path) -> None:
    """Paid a moment ago and its events still on their way: asking for another plan says so, and charges nothing."""
    async with Bench(tmp_path) as bench:
        session = await bench.engine.checkout("u_1", plan="pro")
        await bench.pay(session)
        with pytest.raises(AlreadySubscribed):
            await bench.engine.checkout("u_1", plan="pro", quantity=2)
        assert len(await bench.objects("checkout/sessions")) == 1


async def test_an_incomplete_one_is_finished_in_its_open_session(tmp_path: Path) -> None:
    """Its address is given again; once the session is gone, the answer is no."""
    async with Bench(tmp_path) as bench:
        session = await bench.engine.checkout("u_1", plan="pro")
        (customer,) = await bench.objects("customers")
        await bench.ask(
            "POST", "subscriptions", customer=customer["id"], payment_behavior="default_incomplete",
            **{"items[0][price]": "price_pro", "metadata[user_id]": "u_1"},
        )  # fmt: skip
        await arrive(bench)
        state = await bench.state()
        assert (state["state"], "checkout" in state["available_actions"]) == ("incomplete", True)
        assert await bench.engine.checkout("u_1", plan="pro") == session
        await bench.ask("POST", f"checkout/sessions/{session.id}/expire")
        await arrive(bench)
        assert "checkout" not in (await bench.state())["available_actions"]
        with pytest.raises(AlreadySubscribed):
            await bench.engine.checkout("u_1", plan="pro")


async def test_an_unknown_plan_is_refused_before_any_call(tmp_path: Path) -> None:
    """422, and Stripe hears nothing."""
    async with Bench(tmp_path) as bench:
        with pytest.raises(UnknownPlan):
            await bench.engine.checkout("u_1", plan="gold")
        assert await bench.objects("customers") == []


async def test_promotion_codes_are_what_a_customer_types_or_an_id(tmp_path: Path) -> None:
    """Known and active: in the session.  Unknown or no longer active: 422, whichever way it is named."""
    async with Bench(tmp_path) as bench:
        coupon = await bench.ask("POST", "coupons", percent_off=50, duration="once")
        promo = {"promotion[type]": "coupon", "promotion[coupon]": coupon["id"]}
        known = await bench.ask("POST", "promotion_codes", code="HALF", **promo)
        gone = await bench.ask("POST", "promotion_codes", code="GONE", **promo)
        await bench.ask("POST", f"promotion_codes/{gone['id']}", active="false")
        for user, code in (("u_1", "HALF"), ("u_2", known["id"])):
            await bench.engine.checkout(user, plan="pro", promotion_code=code)
            (at_stripe, *_) = await bench.objects("checkout/sessions")
            assert [each["promotion_code"] for each in at_stripe["discounts"]] == [known["id"]]
        for code in ("NONE", "promo_none", "promo_../customers", "GONE", gone["id"]):
            with pytest.raises(UnknownPromotionCode):
                await bench.engine.checkout("u_3", plan="pro", promotion_code=code)
        assert len(await bench.objects("checkout/sessions")) == 2


async def test_a_promotion_code_that_stripe_does_not_take_here(tmp_path: Path) -> None:
    """Active, and not for this purchase: 422 as for an unknown one, and without it the way is free."""
    async with Bench(tmp_path) as bench:
        coupon = await bench.ask("POST", "coupons", percent_off=50, duration="once")
        promo = {"promotion[type]": "coupon", "promotion[coupon]": coupon["id"]}
        dear = {"restrictions[minimum_amount]": 10**6, "restrictions[minimum_amount_currency]": "usd"}
        await bench.ask("POST", "promotion_codes", code="DEAR", **promo, **dear)
        with pytest.raises(UnknownPromotionCode):
            await bench.engine.checkout("u_1", plan="pro", promotion_code="DEAR")
        assert (await bench.engine.checkout("u_1", plan="pro")).url


async def test_the_portal_opens_for_its_customer_only(tmp_path: Path) -> None:
    """No customer yet: 409.  With one: its portal, also before the first subscription and after the last."""
    async with Bench(tmp_path) as bench:
        with pytest.raises(NoCustomer):
            await bench.engine.portal("u_1")
        session = await bench.engine.checkout("u_1", plan="pro")
        assert "portal" in (await bench.state())["available_actions"]
        assert (await bench.engine.portal("u_1")).startswith(bench.live.url)
        await bench.pay(session)
        await arrive(bench)
        for flow in ("payment_method_update", "subscription_cancel", "subscription_update"):
            assert (await bench.engine.portal("u_1", flow=flow)).startswith(bench.live.url)


async def test_a_flow_without_a_living_subscription_is_refused(tmp_path: Path) -> None:
    """There is nothing to cancel."""
    async with Bench(tmp_path) as bench:
        await bench.engine.checkout("u_1", plan="pro")
        with pytest.raises(NoCustomer):
            await bench.engine.portal("u_1", flow="subscription_cancel")


async def test_nobody_gets_the_portal_of_a_shared_customer(tmp_path: Path) -> None:
    """Two users' subscriptions on one customer: whoever's portal it was shows the other's bills, so it is nobody's."""
    async with Bench(tmp_path) as bench:
        sub = await bench.subscribe("u_1")
        await bench.ask(
            "POST", "subscriptions", customer=sub["customer"],
            **{"items[0][price]": "price_pro", "metadata[user_id]": "u_2"},
        )  # fmt: skip
        await arrive(bench)
        for user in ("u_1", "u_2"):
            assert (await bench.state(user))["state"] == "active"
            with pytest.raises(NoCustomer):
                await bench.engine.portal(user)


async def test_a_moved_customer_is_never_checked_out_by_the_first_user(tmp_path: Path) -> None:
    """The customer became another user's: the first one's next checkout makes a customer of their own."""
    async with Bench(tmp_path) as bench:
        await bench.engine.checkout("u_1", plan="pro")
        (customer,) = await bench.objects("customers")
        await asyncio.sleep(1.1)  # Stripe's times are whole seconds
        await bench.ask("POST", f"customers/{customer['id']}", **{"metadata[user_id]": "u_2"})
        await arrive(bench)
        with pytest.raises(NoCustomer):
            await bench.engine.portal("u_1")
        with pytest.raises(NoCustomer):  # it was made for another, and holds nothing that we sell
            await bench.engine.portal("u_2")
        await bench.engine.checkout("u_1", plan="pro", quantity=2)
        newest = (await bench.objects("checkout/sessions"))[0]
        assert newest["customer"] != customer["id"]
        assert (await bench.engine.portal("u_1")).startswith(bench.live.url)


async def test_a_deleted_customer_is_made_anew(tmp_path: Path) -> None:
    """Stripe's customer is gone: the next checkout makes another, not the same by its idempotency key."""
    async with Bench(tmp_path) as bench:
        await bench.engine.checkout("u_1", plan="pro")
        (customer,) = await bench.objects("customers")
        await bench.ask("DELETE", f"customers/{customer['id']}")
        await arrive(bench)
        assert (await bench.state())["available_actions"] == ["checkout"]
        await bench.engine.checkout("u_1", plan="pro", quantity=2)
        (other,) = [each for each in await bench.objects("customers") if not each.get("deleted")]
        assert other["id"] != customer["id"]


async def test_stripe_refusing_or_away_is_told(tmp_path: Path) -> None:
    """A refusal and an outage are different errors, and neither takes 20 s."""
    async with Bench(tmp_path) as bench:
        begun = time.monotonic()
        await bench.fault("customers", method="POST", status=402, times=1)
        with pytest.raises(StripeRefused):
            await bench.engine.checkout("u_1", plan="pro")
        await bench.fault("customers", method="POST", status=503, times=10)
        with pytest.raises(StripeUnavailable):
            await bench.engine.checkout("u_1", plan="pro")
        await bench.panel("faults", clear=True)
        await bench.engine.checkout("u_1", plan="pro")
        assert len(await bench.objects("customers")) == 1
        assert time.monotonic() - begun < 20


async def test_prices_are_learnt_from_stripe(tmp_path: Path) -> None:
    """`GET /plans`: amount, currency and interval once Stripe was asked; a lookup key is resolved."""
    async with Bench(tmp_path) as bench:

        async def learnt() -> bool:
            return bool((await bench.engine.plans())[1].amount)

        await eventually(learnt, within=5.0)
        plan = (await bench.engine.plans())[1]
        assert (plan.key, plan.amount, plan.currency, plan.interval) == ("pro", 2000, "usd", "month")


async def test_a_customer_deleted_unheard_is_no_dead_end(tmp_path: Path) -> None:
    """The customer was deleted in Stripe and no event told: the next checkout makes another, once."""
    async with Bench(tmp_path) as bench:
        await bench.engine.checkout("u_1", plan="pro")
        (first,) = await bench.objects("customers")
        await bench.ask("DELETE", f"customers/{first['id']}")
        await bench.engine.checkout("u_1", plan="pro", quantity=2)
        (second,) = [each for each in await bench.objects("customers") if not each.get("deleted")]
        assert second["id"] != first["id"]
        assert second["metadata"] == {"user_id": "u_1"}
