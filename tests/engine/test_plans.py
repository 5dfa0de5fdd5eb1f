"""The plan catalogue: read strictly, refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.engine.core.catalogue import load_catalogue, read_catalogue
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


def test_a_plan_is_found_by_its_price_or_its_lookup_key() -> None:
    """A subscription's item belongs to the plan that sells its price; an unknown one to none."""
    catalogue = read_catalogue(GOOD)
    assert [found and found[0] for found in (
        catalogue.plan_of("price_pro", None),
        catalogue.plan_of("price_of_today", "team_monthly"),
        catalogue.plan_of("price_unknown", None),
        catalogue.plan_of("", ""),
    )] == ["pro", "team", None, None]  # fmt: skip


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
