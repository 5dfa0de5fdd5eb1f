"""Reconciling with the stand-in Stripe: whatever no webhook ever told is found, shown, and repaired."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.engine.flow.sweep import Difference
from tests.engine.bench import Bench

pytestmark = pytest.mark.anyio


async def reconcile(
    bench: Bench, user: str | None = None, *, dry_run: bool = False, everything: bool = True
) -> list[Difference]:
    return await bench.engine.reconcile(user_id=user, everything=everything, dry_run=dry_run)


async def test_lost_events_are_recovered_by_the_sweep(tmp_path: Path) -> None:
    """Events that never arrived are listed by Stripe, taken once, and a late delivery is a duplicate."""
    async with Bench(tmp_path) as bench:
        await bench.subscribe("u_before")
        await bench.engine.sweep()
        sub = await bench.subscribe("u_lost")
        await bench.ask("DELETE", f"subscriptions/{sub['id']}")
        assert (await bench.state("u_lost"))["state"] == "none"
        await bench.engine.sweep()
        await bench.settled()
        assert (await bench.state("u_lost"))["state"] == "canceled"
        steps = [(e["trigger"], e["to"]) for e in await bench.history("u_lost") if e["outcome"] == "applied"]
        assert steps[0] == ("activate", "active")
        assert steps[-1] == ("cancel", "canceled")
        late = [told for told in await bench.events(sub["id"]) if told["type"].startswith("customer.subscription.")]
        assert set(await bench.deliver(*late)) == {"duplicate"}


async def test_each_difference_is_shown_and_repaired(tmp_path: Path) -> None:
    """`--dry-run` names user, subscription and field and changes nothing; without it all is repaired, once."""
    async with Bench(tmp_path) as bench:
        sub = await bench.subscribe()
        await bench.deliver(*await bench.events(sub["id"]))
        await bench.settled()
        assert await reconcile(bench, dry_run=True) == []
        await bench.ask("POST", f"subscriptions/{sub['id']}", cancel_at_period_end="true")
        before = await bench.state()
        found = await reconcile(bench, dry_run=True)
        assert [(d.user_id, d.subscription_id, d.field, d.stored, d.repaired) for d in found] == [
            ("u_1", sub["id"], "cancel_at", "-", False),
            ("u_1", sub["id"], "cancel_reason", "-", False),
        ]
        assert await bench.state() == before
        assert [d.repaired for d in await reconcile(bench)] == [True, True]
        assert (await bench.state())["access"]["reason"] == "ending"
        assert await reconcile(bench) == []
        assert [entry["source"] for entry in await bench.history()][-1] == "reconcile"


async def test_a_user_is_reconciled_alone(tmp_path: Path) -> None:
    """`--user`: only theirs is looked at."""
    async with Bench(tmp_path) as bench:
        subs = [await bench.subscribe(user) for user in ("u_1", "u_2")]
        for sub in subs:
            await bench.deliver(*await bench.events(sub["id"]))
            await bench.settled()
            await bench.ask("DELETE", f"subscriptions/{sub['id']}")
        assert {d.user_id for d in await reconcile(bench, "u_1")} == {"u_1"}
        assert [(await bench.state(user))["state"] for user in ("u_1", "u_2")] == ["canceled", "active"]


async def test_what_no_event_ever_told_is_found(tmp_path: Path) -> None:
    """Subscriptions none of whose events arrived: by their metadata in any sweep, all of Stripe's with `--all`."""
    async with Bench(tmp_path) as bench:
        await bench.subscribe("u_1")
        stranger = await bench.subscribe(None)
        found = await reconcile(bench, everything=False)
        assert [(d.user_id, d.field, d.stored, d.repaired) for d in found] == [("u_1", "status", "(not stored)", True)]
        assert (await bench.state())["state"] == "active"
        found = await reconcile(bench, everything=True)
        assert [d.subscription_id for d in found] == [stranger["id"]]
        assert await reconcile(bench, everything=True) == []


async def test_an_ended_one_whose_facts_moved_is_no_difference_for_ever(tmp_path: Path) -> None:
    """Stripe lets the metadata of a canceled one change: nothing to repair, no new entry with each sweep."""
    async with Bench(tmp_path) as bench:
        sub = await bench.subscribe()
        await bench.ask("DELETE", f"subscriptions/{sub['id']}")
        await bench.deliver(*await bench.events(sub["id"]))
        await bench.settled()
        await bench.ask("POST", f"subscriptions/{sub['id']}", **{"metadata[user_id]": "u_2"})
        before = await bench.history()
        for _ in range(3):
            assert await reconcile(bench) == []
        assert await bench.history() == before


async def test_kind_e_one_that_stripe_does_not_have_is_found(tmp_path: Path) -> None:
    """Stored here, unknown there: the state stands, and it is asked about again; this was the first of two answers."""
    async with Bench(tmp_path) as bench:
        sub = await bench.subscribe()
        await bench.deliver(*await bench.events(sub["id"]))
        await bench.settled()
        world = bench.live.box.world
        world.forget("subscription", world.get("subscription", sub["id"]))
        found = await reconcile(bench)
        assert [(d.stripe, d.repaired) for d in found] == [("(not at Stripe)", False)]
        assert (await bench.state())["state"] == "active"
        assert await bench.questions() == 1


async def test_one_that_can_not_be_read_keeps_no_other_from_repair(tmp_path: Path) -> None:
    """A subscription whose shape Stripe never promised is told by its id; all others are compared and repaired."""
    async with Bench(tmp_path) as bench:
        before, broken, after = [await bench.subscribe(user) for user in ("u_1", "u_2", "u_3")]
        bench.live.box.world.get("subscription", broken["id"])["trial_end"] = 10**20
        found = {d.subscription_id: (d.stored, d.stripe, d.repaired) for d in await reconcile(bench)}
        assert found == {
            before["id"]: ("(not stored)", "active", True),
            broken["id"]: ("(not stored)", "(unreadable)", False),
            after["id"]: ("(not stored)", "active", True),
        }
        assert [(await bench.state(user))["state"] for user in ("u_1", "u_2", "u_3")] == ["active", "none", "active"]


@pytest.mark.usefixtures("misfits_meant")
async def test_one_checkout_that_can_not_be_read_leaves_the_others(tmp_path: Path) -> None:
    """Of two open checkouts one is unreadable at Stripe: the sweep closes the other, and ends well."""
    async with Bench(tmp_path) as bench:
        by_session = {(await bench.engine.checkout(user, plan="pro")).id: user for user in ("u_1", "u_2")}
        first, second = sorted(by_session)  # as the sweep looks at them
        bench.live.box.world.get("checkout.session", first)["status"] = 7
        await bench.pay(await bench.engine.checkout(by_session[second], plan="pro"))
        await bench.engine.sweep()
        await bench.settled()
        assert (await bench.state(by_session[second]))["state"] == "trialing"


async def test_an_open_checkout_that_ended_unheard_is_closed(tmp_path: Path) -> None:
    """Neither `completed` nor the subscription's events came: the sweep finds both."""
    async with Bench(tmp_path) as bench:
        session = await bench.engine.checkout("u_1", plan="pro")
        await bench.pay(session)
        assert (await bench.state())["state"] == "none"
        await bench.engine.sweep()
        await bench.settled()
        state = await bench.state()
        assert (state["state"], state["available_actions"][0]) == ("trialing", "portal")
