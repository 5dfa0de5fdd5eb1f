"""Counting through the engine, on both databases: limits, windows, ids, holds, reports, alerts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from interlock.engine import UnknownFeature, UsageEvent
from interlock.engine.core.catalogue import read_catalogue
from interlock.engine.errors import UnknownHold
from tests.kit.bodies import DAY, MONTH, Line
from tests.usage.conftest import PLANS, Shop

pytestmark = pytest.mark.anyio


async def test_a_count_is_allowed_up_to_the_limit(shop: Shop) -> None:
    """Promise: exactly the limit is allowed, the next is denied and not counted, and both are answers, not errors."""
    await shop.hold()
    first = await shop.use(99)
    assert (first.allowed, first.reason, first.used, first.remaining) == (True, "plan", 99, 1)
    assert (await shop.use(2)).reason == "limit_reached"
    assert (await shop.use()).allowed
    denied = await shop.use()
    assert (denied.allowed, denied.used, denied.remaining, denied.duplicate) == (False, 100, 0, False)


async def test_reasons_follow_what_is_held(shop: Shop) -> None:
    """Promise: free without access, the plan with it, what the plan leaves out is denied; unknown is never allowed."""
    assert (await shop.use()).reason == "free"
    assert [(await shop.use(4)).allowed, (await shop.use()).reason] == [True, "limit_reached"]
    assert (await shop.feature("export")).reason == "no_access"
    await shop.hold()
    assert (await shop.feature("export")).allowed
    assert (await shop.feature("login")).reason == "not_in_plan"
    assert (await shop.use(feature="seats")).reason == "not_in_plan"
    with pytest.raises(UnknownFeature):
        await shop.use(feature="api_cals")
    with pytest.raises(UnknownFeature):
        await shop.feature("api_cals")


async def test_what_is_held_adds_up_and_goes_again(shop: Shop) -> None:
    """Promise: an add-on adds its limit for each of its quantity; what ends takes its part away, and nothing else."""
    await shop.hold()
    pack = await shop.hold(price="price_pack", quantity=2)
    assert (await shop.use(200)).allowed
    assert not (await shop.use()).allowed
    shop.clock.at += 1
    await shop.tell(pack.end(int(shop.clock())))
    after = await shop.feature()
    assert (after.allowed, after.limit, after.used, after.remaining) == (False, 100, 200, 0)


async def test_a_window_begins_anew_by_the_clock(shop: Shop) -> None:
    """Promise: a month after the subscription began counting begins anew, with no job that runs; `never` goes on."""
    life = await shop.hold()
    await shop.use(100)
    await shop.use(3, feature="projects")
    ends = (await shop.feature()).resets_at
    shop.clock.at += 31 * DAY
    await shop.move(life, lines=(Line(ends=int(shop.clock()) + MONTH),))
    fresh = await shop.feature()
    assert (fresh.used, fresh.remaining, fresh.resets_at != ends) == (0, 100, True)
    assert (await shop.use()).used == 1
    assert not (await shop.use(feature="projects")).allowed


async def test_a_month_inside_a_year(shop: Shop) -> None:
    """Promise: an annual plan has its monthly allowance each month, and `period` for the whole year."""
    await shop.hold(price="price_year", ends=int(shop.clock()) + 365 * DAY)
    await shop.use(100)
    await shop.use(5, feature="seats")
    shop.clock.at += 32 * DAY
    assert (await shop.feature()).remaining == 100


async def test_a_change_of_plan_in_mid_window(shop: Shop) -> None:
    """Promise: what was used stays counted; a smaller plan leaves 0 and takes nothing back; a larger one frees."""
    life = await shop.hold()
    await shop.use(60)
    await shop.use(3, feature="projects")
    await shop.move(life, lines=(Line(price="price_small"),))
    small = await shop.feature()
    assert (small.limit, small.used, small.remaining, small.reason) == (10, 60, 0, "limit_reached")
    assert (await shop.feature("projects")).remaining == 0
    await shop.move(life, lines=(Line(price="price_pro"),))
    assert (await shop.feature()).remaining == 40


async def test_access_that_ends_by_the_clock_ends_the_allowance(shop: Shop) -> None:
    """Promise: a planned end is `until`, and from that second on what is free is what is left."""
    ends = int(shop.clock()) + 5 * DAY
    await shop.hold(cancel_at=ends)
    found = await shop.feature()
    assert found.until is not None
    assert found.limit == 100
    shop.clock.at = ends
    assert ((await shop.use()).reason, (await shop.feature()).limit) == ("free", 5)


async def test_over_is_allowed_where_it_is_billed(shop: Shop) -> None:
    """Promise: `over = "allow"` counts beyond the limit and never refuses."""
    await shop.hold()
    answer = await shop.use(25, feature="tokens")
    assert (answer.allowed, answer.used, answer.remaining) == (True, 25, 0)
    assert (await shop.feature("tokens")).allowed


async def test_an_id_counts_once(shop: Shop) -> None:
    """Promise: the same id within 35 days is the first answer again, allowed or denied; later it is new."""
    life = await shop.hold(price="price_year", ends=int(shop.clock()) + 365 * DAY)
    first = await shop.use(7, use_id="req_1")
    again = await shop.use(7, use_id="req_1")
    assert (first.duplicate, again.duplicate, again.used, again.remaining) == (False, True, 7, first.remaining)
    assert not (await shop.use(99, use_id="req_2")).allowed
    assert (await shop.use(99, use_id="req_2")).duplicate
    assert (await shop.use(feature="seats", use_id="req_1")).duplicate is False
    shop.clock.at += 36 * DAY
    assert life.sub.status == "active"
    assert (await shop.use(7, use_id="req_1")).duplicate is False


async def test_the_same_id_at_once_counts_once(shop: Shop) -> None:
    """Promise: twenty calls with one id at the same moment are one use, and nineteen duplicates."""
    await shop.hold()
    answers = await asyncio.gather(*(shop.use(3, use_id="same") for _ in range(20)))
    assert sum(not answer.duplicate for answer in answers) == 1
    assert {answer.used for answer in answers} == {3}


async def test_many_at_once_never_pass_the_limit(shop: Shop) -> None:
    """Promise: 150 calls at once on a limit of 100 are 100 times allowed."""
    await shop.hold()
    answers = await asyncio.gather(*(shop.use() for _ in range(150)))
    assert sum(answer.allowed for answer in answers) == 100
    assert (await shop.feature()).used == 100


# --- holds -----------------------------------------------------------------------------------------------


async def test_a_hold_takes_and_gives_back(shop: Shop) -> None:
    """Promise: what is held can't be used by another; settled with less, the rest is free; the answer comes again."""
    await shop.hold()
    held = await shop.engine.hold("u_1", "api_calls", 90, seconds=60)
    assert (held.allowed, held.used, held.remaining) == (True, 0, 10)
    assert not (await shop.use(11)).allowed
    assert held.id is not None
    settled = await shop.engine.settle(held.id, 20)
    assert (settled.allowed, settled.used, settled.remaining) == (True, 20, 80)
    again = await shop.engine.settle(held.id, 50)
    assert (again.duplicate, again.used) == (True, 20)
    assert (await shop.feature()).used == 20


async def test_a_hold_left_alone_gives_back(shop: Shop) -> None:
    """Promise: at the second it ends it holds nothing, for whoever asks; settled late, all of it must fit."""
    await shop.hold()
    held = await shop.engine.hold("u_1", "api_calls", 90, seconds=60)
    assert held.id is not None
    shop.clock.at += 59
    assert (await shop.feature()).remaining == 10
    shop.clock.at += 1
    assert (await shop.feature()).remaining == 100
    await shop.use(95)
    assert not (await shop.engine.settle(held.id, 6)).allowed
    assert (await shop.engine.settle(held.id, 5)).used == 100


async def test_a_hold_settled_with_more_must_fit(shop: Shop) -> None:
    """Promise: more than was held is counted only where it fits; denied, the hold stands."""
    await shop.hold()
    held = await shop.engine.hold("u_1", "api_calls", 40, seconds=600)
    await shop.use(50)
    assert held.id is not None
    assert not (await shop.engine.settle(held.id, 51)).allowed
    assert await shop.reserved() == 40
    assert (await shop.engine.settle(held.id, 50)).used == 100
    with pytest.raises(UnknownHold):
        await shop.engine.settle("hold_unknown", 1)


async def test_a_hold_that_does_not_fit_has_no_id(shop: Shop) -> None:
    """Promise: a hold is whole or not at all."""
    await shop.hold()
    assert (await shop.engine.hold("u_1", "api_calls", 101, seconds=60)).id is None
    assert await shop.reserved() == 0


async def test_a_hold_counts_in_its_own_window(shop: Shop) -> None:
    """Promise: settled after the window changed, it counts where it was taken; the new window stays whole."""
    life = await shop.hold()
    shop.clock.at += 29 * DAY + DAY // 2
    held = await shop.engine.hold("u_1", "api_calls", 40, seconds=86_400)
    shop.clock.at += DAY
    assert held.id is not None
    await shop.move(life, lines=(Line(ends=int(shop.clock()) + MONTH),))
    assert (await shop.feature()).remaining == 100
    assert not (await shop.engine.settle(held.id, 101)).allowed
    assert (await shop.engine.settle(held.id, 100)).used == 100
    assert (await shop.feature()).used == 0


# --- reports ---------------------------------------------------------------------------------------------


def told(id_: str, amount: int = 1, **changes: Any) -> UsageEvent:
    given: dict[str, Any] = {"user": "u_1", "feature": "api_calls", "amount": amount, "id": id_}
    return UsageEvent(**(given | changes))


async def test_a_report_counts_each_once_and_says_what_it_refused(shop: Shop) -> None:
    """Promise: counted, duplicates and refused add up to what was sent, and each refusal has its reason."""
    await shop.hold()
    await shop.hold("u_2")
    now = int(shop.clock())
    report = await shop.report(
        told("a", 10), told("a", 10), told("b", 5, user="u_2"), told("c", -4), told("d", -100), told("e", 1000),
        told("f", feature="nothing"), told("g", at=now - 36 * DAY), told("h", at=now + 301), told("i", feature="seats"),
        told("j", user="u_3", feature="projects"),
    )  # fmt: skip
    assert (report.counted, report.duplicates) == (3, 1)
    assert {one.id: one.why for one in report.refused} == {
        "d": "below_zero", "e": "limit_reached", "f": "unknown_feature", "g": "too_old", "h": "in_the_future",
        "i": "not_in_plan", "j": "no_access",
    }  # fmt: skip
    assert ((await shop.feature()).used, (await shop.feature(user="u_2")).used) == (6, 5)
    assert (await shop.report(told("a", 10), told("c", -4))).duplicates == 2


async def test_late_use_counts_in_its_own_window(shop: Shop) -> None:
    """Promise: what happened before the window began leaves the present one whole."""
    life = await shop.hold()
    shop.clock.at += 31 * DAY
    await shop.move(life, lines=(Line(ends=int(shop.clock()) + MONTH),))
    late = int(shop.clock()) - 5 * DAY
    assert (await shop.report(told("a", 100, at=late), told("b", 1, at=late))).counted == 1
    assert (await shop.feature()).used == 0


# --- what is read ----------------------------------------------------------------------------------------


async def test_every_feature_is_listed(shop: Shop) -> None:
    """Promise: all features in one read, those that are denied too; the version is another when anything is."""
    await shop.hold()
    first = await shop.engine.features("u_1")
    assert {item.key: item.reason for item in first.items} == {
        "api_calls": "plan", "projects": "plan", "seats": "not_in_plan", "tokens": "plan", "export": "plan",
        "login": "not_in_plan",
    }  # fmt: skip
    assert (await shop.engine.features("u_1")).version == first.version
    await shop.use()
    assert (await shop.engine.features("u_1")).version != first.version


async def test_a_denial_names_the_plans_that_would_allow_it(shop: Shop) -> None:
    """Promise: who is denied is told what to buy."""
    await shop.hold(price="price_small")
    await shop.use(10)
    assert (await shop.feature()).plans == ["pro", "year", "pack"]


async def test_another_catalogue_holds_at_once(shop: Shop) -> None:
    """Promise: a limit that the file changes is the limit of the next call, with what was used before."""
    await shop.hold()
    await shop.use(50)
    other = Shop(shop.store, shop.clock, catalogue=read_catalogue(PLANS.replace("api_calls = 100", "api_calls = 51")))
    assert [(await other.use()).allowed, (await other.use()).allowed] == [True, False]
