"""The plan catalogue: read strictly, refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.engine.core.catalogue import Offer, load_catalogue, read_catalogue
from interlock.engine.core.states import Item
from interlock.engine.errors import BadConfiguration

GOOD = """
[access]
past_due_grace_days = 3
[plans.pro]
name = "Pro"
price = "price_pro"
trial_days = 14
features = ["export", "sso"]
[plans.team]
name = "Team"
lookup_key = "team_monthly"
"""


def test_a_catalogue_is_read_whole() -> None:
    """Every field of the README's plans.toml arrives, in the order it was written."""
    catalogue = read_catalogue(GOOD)
    assert list(catalogue.plans) == ["pro", "team"]
    pro, team = catalogue.plans.values()
    assert (pro.name, pro.price, pro.lookup_key, pro.trial_days) == ("Pro", "price_pro", None, 14)
    assert pro.features == ("export", "sso")
    assert (team.price, team.lookup_key, team.trial_days, team.features) == (None, "team_monthly", 0, ())
    assert catalogue.access.past_due_grace_days == 3


def test_grace_is_a_week_unless_said() -> None:
    """The documented default."""
    assert read_catalogue("").access.past_due_grace_days == 7


LIFE = """
[plans.solo]
name = "Solo"
price = "price_solo"
also = ["price_solo_2023"]
[plans.pro]
name = "Pro"
prices = { month = "price_pro_month", year = "pro_yearly" }
product = "prod_pro"
quantity = { min = 1, max = 50 }
[plans.classic]
name = "Classic"
sold = false
also = ["price_classic"]
[plans.seats]
name = "Seats"
lookup_key = "seats"
addon = true
quantity = 3
limits = { api_calls = 5 }
[features.api_calls]
name = "API calls"
"""


@pytest.mark.parametrize(
    ("item", "memory", "expected"),
    [
        (Item("price_solo"), {}, "solo"),
        (Item("price_solo_2023"), {}, "solo"),
        (Item("price_pro_month"), {}, "pro"),
        (Item("price_7", lookup_key="pro_yearly"), {}, "pro"),
        (Item("price_8", product="prod_pro"), {}, "pro"),
        (Item("price_classic"), {}, "classic"),
        (Item("price_unknown"), {}, None),
        (Item("", lookup_key=""), {}, None),
        (Item("price_then"), {"price_then": "pro"}, "pro"),
        (Item("price_then", lookup_key="seats"), {"price_then": "pro"}, "seats"),
        (Item("price_solo"), {"price_solo": "pro"}, "solo"),
        (Item("price_then", product="prod_pro"), {"price_then": "solo"}, "solo"),
        (Item("price_gone"), {"price_gone": "a plan of before"}, "a plan of before"),
    ],
)
def test_kind_b_a_price_belongs_to_one_plan(item: Item, memory: dict[str, str], expected: str | None) -> None:
    """Case B: by its id, its lookup key of now, what is remembered of it, its product; in this order."""
    assert read_catalogue(LIFE).plan_key(item, memory) == expected


def test_kind_b_once_sold_and_no_longer_in_the_file_is_no_plan_and_not_unknown() -> None:
    """What a catalogue of before sold stays ours, without a name or features; what none sold is unknown."""
    catalogue = read_catalogue(LIFE)
    place = catalogue.place(Item("price_gone"), {"price_gone": "dropped"})
    assert place is not None
    assert (place.key, place.plan, place.is_addon) == (None, None, False)
    assert catalogue.place(Item("price_gone")) is None


def test_the_files_order_is_the_rank() -> None:
    """The lesser plan first; what is no longer in the file below them, add-ons below all."""
    catalogue = read_catalogue(LIFE)
    ranks = [place.rank for key in ("seats", "solo", "pro", "classic") if (place := catalogue.place_of(key))]
    gone = catalogue.place(Item("x"), {"x": "dropped"})
    assert gone is not None
    assert ranks[0] < gone.rank < ranks[1] < ranks[2] < ranks[3]


def test_what_is_sold_and_what_is_remembered() -> None:
    """Each interval is an offer, an id or a lookup key; a retired plan is none; ids in the file are remembered."""
    catalogue = read_catalogue(LIFE)
    assert [offer for offers in catalogue.offers.values() for offer in offers] == [
        Offer("solo", None, "price_solo", False),
        Offer("pro", "month", "price_pro_month", False),
        Offer("pro", "year", "pro_yearly", True),
        Offer("seats", None, "seats", True),
    ]
    assert catalogue.named_prices == {
        "price_solo": "solo", "price_solo_2023": "solo", "price_pro_month": "pro", "price_classic": "classic",
    }  # fmt: skip
    quantities = [catalogue.plans[key].quantities for key in ("solo", "pro", "seats")]
    assert [(some.min, some.max) for some in quantities] == [(1, 10_000), (1, 50), (3, 3)]


def test_the_digest_changes_with_anything_that_is_shown() -> None:
    """What was drawn from another catalogue is drawn anew; what only looks different in the file is not."""
    digest = read_catalogue(GOOD).digest
    assert read_catalogue(GOOD.replace("= ", "=  ") + "# a comment").digest == digest
    for change in (("days = 3", "days = 4"), ('"Pro"', '"Professional"'), ('"sso"', '"saml"'), ("= 14", "= 15")):
        assert read_catalogue(GOOD.replace(*change)).digest != digest


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[plans.pro", "PLANS_FILE"),
        ("[plans.pro]\nname = 'Pro'", "pro"),
        ("[plans.pro]\nname = 'Pro'\nprice = 'a'\nlookup_key = 'b'", "pro"),
        ("[plans.pro]\nprice = 'a'", "name"),
        ("[plans.pro]\nname = ''\nprice = 'a'", "name"),
        ("[plans.pro]\nname = 'Pro'\nprice = ''", "price"),
        ("[plans.pro]\nname = 'Pro'\nprice = 'a'\ntrial_days = -1", "trial_days"),
        ("[plans.pro]\nname = 'Pro'\nprice = 'a'\ntrial_days = 731", "trial_days"),
        ("[plans.pro]\nname = 'Pro'\nprice = 'a'\ntrial_days = 'long'", "trial_days"),
        ("[plans.pro]\nname = 'Pro'\nprice = 'a'\nfeatures = 'sso'", "features"),
        ("[plans.pro]\nname = 'Pro'\nprice = 'a'\ntrail_days = 3", "trail_days"),
        ("[access]\npast_due_grace_days = -1", "past_due_grace_days"),
        ("[access]\ngrace = 1", "grace"),
        ("[planz.pro]\nname = 'Pro'\nprice = 'a'", "planz"),
        ("[plans.pro]\nname = 'Pro'\nprice = 'a'\nprices = {month = 'b'}", "pro"),
        ("[plans.pro]\nname = 'Pro'\nprice = 'a'\n[plans.max]\nname = 'M'\nprice = 'a'", "'max' names 'a'"),
        ("[plans.pro]\nname = 'Pro'\nprice = 'a'\n[plans.max]\nname = 'M'\nprice = 'b'\nalso = ['a']", "max"),
        ("[plans.pro]\nname = 'Pro'\nprices = {month = 'a', year = 'a'}", "pro"),
        ("[plans.a]\nname = 'A'\nprice = 'a'\nproduct='p'\n[plans.b]\nname='B'\nprice='b'\nproduct='p'", "'b'"),
        ("[plans.pro]\nname = 'Pro'\nprice = 'a'\nquantity = 0", "quantity"),
        ("[plans.pro]\nname = 'Pro'\nprice = 'a'\nquantity = {min = 9, max = 2}", "pro"),
        ("[plans.pro]\nname = 'Pro'\nprice = 'a'\nlimits = {calls = 3}", "pro"),
        ("[free]\nlimits = {calls = 3}", "calls"),
        ("[plans.pro]\nname = 'Pro'\nprice = 'a'\nlimits = {calls = 'much'}", "limits"),
        ("[access]\ncollection_paused = 'perhaps'", "collection_paused"),
        ("[checkout]\nsuccess = '//evil.example'", "success"),
        ("[portal]\nback = 'https://evil.example'", "back"),
        ("[cancel]\nwhen = []", "when"),
    ],
)
def test_a_catalogue_that_does_not_fit_is_refused_in_words(text: str, names: str) -> None:
    """A wrong or misspelt entry refuses the start and names itself; nothing is silently left out."""
    with pytest.raises(BadConfiguration) as caught:
        read_catalogue(text)
    assert names in str(caught.value)
    assert "PLANS_FILE" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """PLANS_FILE and the path are in the words; so they are where the file is no text."""
    missing = tmp_path / "plans.toml"
    with pytest.raises(BadConfiguration, match=str(missing)):
        load_catalogue(missing)
    missing.write_bytes(b"\xff\xfe")
    with pytest.raises(BadConfiguration, match=str(missing)):
        load_catalogue(missing)
    missing.write_text(GOOD, "utf-8")
    assert list(load_catalogue(missing).plans) == ["pro", "team"]
