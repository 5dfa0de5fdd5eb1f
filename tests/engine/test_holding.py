"""What a user holds, over all their subscriptions: each test is named after the kind of CASES that it keeps right."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.engine.core.access import Access, Reason
from interlock.engine.core.holding import Grant, Holding, unremembered
from interlock.engine.core.states import Item, PendingUpdate, Subscription
from tests.engine.held import CATALOGUE, NOW, holding, sub
from tests.kit.bodies import DAY, MONTH, T0


def shown(of: Holding) -> str | None:
    return of.shown and of.shown.known.subscription_id


def plan(of: Holding) -> str | None:
    return of.plan and of.plan.place.key


# --- A: what is not ours ---------------------------------------------------------------------------------


def test_kind_a_what_we_do_not_sell_gives_nothing() -> None:
    """A t-shirt club on the same account: no state, no access, no plan, no portal, no trial; and it is seen."""
    club = sub("sub_club", "price_tshirt_club", trial_end=T0 + 9 * DAY)
    held = holding(club)
    assert (shown(held), plan(held), held.access) == (None, None, Access(False, Reason.NONE))
    assert (held.features, held.customers, held.trial_used) == (("look",), (), False)
    assert (held.ours, held.duplicates, held.changes_at) == ((), (), None)
    assert held.unknown_prices == ("price_tshirt_club",)


def test_kind_a_what_we_do_not_sell_hides_nothing() -> None:
    """Whoever holds Pro and buys the club too keeps Pro, however new the club is."""
    held = holding(sub("sub_pro"), sub("sub_club", "price_club", created=T0 + 99, customer="cus_2"))
    assert (shown(held), plan(held), held.customers) == ("sub_pro", "pro", ("cus_1",))


def test_kind_a_an_unknown_price_that_has_ended_is_not_reported() -> None:
    """Only what lives is a price that somebody may have forgotten."""
    assert holding(sub("sub_1", "price_club", status="canceled")).unknown_prices == ()


def test_kind_a_a_known_item_makes_the_whole_subscription_ours() -> None:
    """Beside Pro an item that no plan names changes nothing, and is reported."""
    held = holding(sub("sub_1", "price_shirt", "price_pro"))
    assert (plan(held), held.features, held.unknown_prices) == ("pro", ("projects", "export"), ("price_shirt",))


def test_kind_a_a_status_that_we_do_not_know_gives_nothing_and_may_be_ours() -> None:
    """A subscription whose facts could never be read is not shown, and still nobody is sold a second one."""
    strange = Subscription(subscription_id="sub_x", unknown_status="frozen_by_stripe")
    held = holding(strange)
    assert (shown(held), held.access.granted) == (None, False)
    assert [one.lives_as_main for one in held.ours] == [True]
    assert holding(Subscription(subscription_id="sub_y")).ours == ()


# --- B: old prices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "memory", "key", "features"),
    [
        (Item("price_pro_2023"), {}, "pro", ("projects", "export")),
        (Item("price_retired"), {}, "retired", ("projects", "old")),
        (Item("price_then"), {"price_then": "team"}, "team", ("projects", "export", "sso")),
        (Item("price_any", product="prod_team"), {}, "team", ("projects", "export", "sso")),
        (Item("price_gone"), {"price_gone": "no longer in the file"}, None, ()),
    ],
)
def test_kind_b_whoever_pays_an_old_price_keeps_the_plan(
    item: Item, memory: Any, key: str | None, features: tuple[str, ...]
) -> None:
    """Old, retired, remembered: the plan stays; a price whose plan is gone still gives access, and no features."""
    held = holding(sub("sub_1", item), memory=memory)
    assert held.access == Access(True, Reason.PAID)
    assert (shown(held), plan(held), held.features) == ("sub_1", key, features)
    assert held.unknown_prices == ()


def test_kind_b_only_what_the_file_does_not_name_is_looked_up() -> None:
    """The memory is read for these prices alone, the coming ones too, so that an ordinary webhook reads none."""
    waiting = PendingUpdate(expires_at=NOW + DAY, items=(Item("price_coming"),))
    named = sub("sub_1", Item("price_pro"), Item("price_x", lookup_key="team_monthly"))
    assert unremembered([named], CATALOGUE) == set()
    assert unremembered([named, sub("sub_2", "price_old", pending_update=waiting)], CATALOGUE) == {
        "price_old", "price_coming",
    }  # fmt: skip


# --- C: several items, several subscriptions -------------------------------------------------------------


@pytest.mark.parametrize("order", [("price_ai", "price_pro"), ("price_pro", "price_ai")])
def test_kind_c_features_are_the_union_of_the_items(order: tuple[str, str]) -> None:
    """Pro with AI is Pro with AI, in whatever order Stripe lists the items."""
    held = holding(sub("sub_1", *(Item(price, quantity=3 if price == "price_ai" else 1) for price in order)))
    assert (plan(held), held.plan and held.plan.quantity) == ("pro", 1)
    assert [(addon.place.key, addon.quantity) for addon in held.addons] == [("ai", 3)]
    assert set(held.features) == {"projects", "export", "ai"}


def test_kind_c_features_are_the_union_of_the_subscriptions_that_give_access() -> None:
    """What has ended, or is unpaid, adds nothing."""
    held = holding(
        sub("sub_1"), sub("sub_2", "price_ai"), sub("sub_3", "price_storage", status="unpaid"),
        sub("sub_4", Item("p", product="prod_team"), status="canceled"),
    )  # fmt: skip
    assert (shown(held), plan(held)) == ("sub_1", "pro")
    assert [addon.place.key for addon in held.addons] == ["ai"]
    assert set(held.features) == {"projects", "export", "ai"}


def test_kind_c_the_later_in_the_file_is_shown_however_long_the_other_lasts() -> None:
    """Team that ends next week stands before Pro that goes on, and Pro comes back when it has ended."""
    team = sub("sub_team", Item("p", product="prod_team"), cancel_at=T0 + 7 * DAY, created=T0 - 9)
    assert shown(holding(sub("sub_pro"), team)) == "sub_team"
    assert holding(sub("sub_pro"), team).changes_at == T0 + 7 * DAY
    assert shown(holding(sub("sub_pro"), team, now=T0 + 7 * DAY)) == "sub_pro"


def test_kind_c_of_equals_the_longer_then_the_newer_is_shown() -> None:
    """What goes on beats what ends, the later end the sooner, then the newest by its own `created`."""
    ending = [sub(f"sub_{n}", cancel_at=T0 + n * DAY, created=T0 - n) for n in (2, 3)]
    assert shown(holding(*ending)) == "sub_3"
    assert shown(holding(*ending, sub("sub_paid", created=T0 - 9))) == "sub_paid"
    assert shown(holding(sub("sub_a"), sub("sub_b", created=T0 + 1))) == "sub_b"


@pytest.mark.parametrize("other", ["past_due", "unpaid", "paused", "canceled", "incomplete", "incomplete_expired"])
def test_kind_c_the_living_one_stands_before_what_ended_and_access_before_both(other: str) -> None:
    """A canceled duplicate takes no access from the survivor, however new the duplicate is."""
    dead = sub("sub_other", status=other, created=T0 + 99, cancel_at=T0 if other == "past_due" else None)
    assert shown(holding(sub("sub_good"), dead)) == "sub_good"


def test_kind_c_without_access_a_living_one_then_the_newest() -> None:
    """An unpaid old subscription says more than a newer one that is over."""
    over = [sub(f"sub_{n}", status="canceled", created=T0 + n) for n in (1, 2)]
    assert shown(holding(*over)) == "sub_2"
    assert shown(holding(*over, sub("sub_unpaid", status="unpaid", created=T0 - 9))) == "sub_unpaid"


def test_kind_c_an_addon_is_the_plan_only_where_there_is_nothing_else() -> None:
    """Alone it is shown as plan and stands in no list beside it."""
    alone = holding(sub("sub_1", "price_ai"))
    assert (plan(alone), alone.addons, alone.features) == ("ai", (), ("ai",))
    both = holding(sub("sub_1", "price_ai", created=T0 + 9), sub("sub_2", "price_starter"))
    assert (plan(both), [addon.place.key for addon in both.addons]) == ("starter", ["ai"])


def test_kind_c_two_living_main_subscriptions_are_a_duplicate() -> None:
    """Paid twice; an add-on beside a plan is not, and neither is what has ended or is not ours."""
    fine = [sub("sub_1"), sub("sub_2", "price_ai"), sub("sub_3", status="canceled"), sub("sub_4", "price_club")]
    assert holding(*fine).duplicates == ()
    assert holding(*fine, sub("sub_5", "price_starter", status="past_due")).duplicates == ("sub_1", "sub_5")


# --- E, F: customers -------------------------------------------------------------------------------------


def test_kind_f_the_portal_is_the_shown_subscriptions() -> None:
    """The customer of what is shown, before an empty one that a checkout made; one that is gone is passed over."""
    paid = sub("sub_1", customer="cus_paid")
    assert holding(paid, customer_id="cus_empty").portal_customer == "cus_paid"
    assert holding(paid, customer_id="cus_empty", barred=frozenset({"cus_paid"})).portal_customer == "cus_empty"
    assert holding(paid, barred=frozenset({"cus_paid"})).portal_customer is None
    assert holding(customer_id="cus_empty").portal_customer == "cus_empty"


def test_kind_f_ended_subscriptions_of_ours_still_name_a_customer() -> None:
    """Their invoices are there; the living one's customer comes first."""
    ended = sub("sub_1", status="canceled", customer="cus_old")
    assert holding(ended).portal_customer == "cus_old"
    assert holding(ended, sub("sub_2", customer="cus_new", created=T0 - 9)).portal_customer == "cus_new"


# --- trials, grants, the clock ---------------------------------------------------------------------------


def test_one_trial_ever() -> None:
    """Noted before, or seen in any subscription of ours, ended ones too."""
    assert holding().trial_used is False
    assert holding(trial_used=True).trial_used is True
    assert holding(sub("sub_1", status="canceled", trial_end=T0 - DAY)).trial_used is True


def test_a_grant_gives_its_plan_beside_billing() -> None:
    """Until its date, under the reason `grant` where nothing else gives access; a higher one is the plan."""
    granted = holding(sub("sub_1", status="canceled"), grant=Grant("pro", T0 + 9 * DAY))
    assert (granted.access, plan(granted)) == (Access(True, Reason.GRANT, T0 + 9 * DAY), "pro")
    assert granted.changes_at == T0 + 9 * DAY
    over = holding(grant=Grant("pro", NOW))
    assert (over.access.granted, over.grant, over.features) == (False, None, ("look",))
    higher = holding(sub("sub_1", "price_starter"), grant=Grant("team"))
    assert (higher.access, plan(higher), shown(higher)) == (Access(True, Reason.PAID), "team", "sub_1")
    assert plan(holding(sub("sub_1"), grant=Grant("starter"))) == "pro"
    assert holding(grant=Grant("no such plan")).access.granted is False


def test_without_access_the_free_features_are_left() -> None:
    """`[free]` is what everybody has who has no access."""
    assert holding().features == ("look",)
    assert holding(sub("sub_1", status="unpaid")).features == ("look",)


SUBS = st.builds(
    sub,
    st.sampled_from(["sub_1", "sub_2", "sub_3"]),
    st.sampled_from(["price_starter", "price_pro", "price_ai", "price_club", "price_retired"]),
    status=st.sampled_from(["active", "trialing", "past_due", "unpaid", "canceled", "incomplete"]),
    created=st.integers(T0, T0 + 3),
    cancel_at=st.none() | st.integers(T0, T0 + MONTH),
)


@given(st.lists(SUBS, max_size=3, unique_by=lambda one: one.subscription_id), st.none() | st.just(Grant("pro", T0 + 5)))
def test_the_clock_alone_changes_nothing_before_changes_at(subs: list[Subscription], grant: Grant | None) -> None:
    """Until that second nothing shown changes, so that is when the state is to be made anew."""
    first = holding(*subs, grant=grant, now=T0)
    at = first.changes_at
    then = holding(*subs, grant=grant, now=T0 + 9 * MONTH if at is None else at - 0.5)
    for name in ("access", "features", "portal_customer", "trial_used"):
        assert getattr(first, name) == getattr(then, name)
    assert (shown(first), plan(first)) == (shown(then), plan(then))
