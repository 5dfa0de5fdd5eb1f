"""Row 11.  One checkout per intent: however often and wherever it is asked for, one session and one customer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.processes import Life, Nursery, settings_in
from tests.kit.process import Served
from tests.kit.scale import Figure, size
from tests.kit.settings import bearer
from tests.kit.stripe import StandIn
from tests.tools.postgres import temporary_server

Obj = dict[str, Any]
RACES = size("CHECKOUT_RACES", 200, 5_000)
AT_ONCE = 50
"""Requests of one user at once: the route takes a burst of 60."""


async def race(services: Sequence[Served], asked: list[tuple[str, str]]) -> list[httpx.Response]:
    """Ask for checkouts (user, plan), all at the same moment, at each service in turn."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=60, trust_env=False, verify=False, limits=limits) as client:
        requests = [
            client.post(f"{services[at % len(services)].url}/checkout", json={"plan": plan}, headers=bearer(user))
            for at, (user, plan) in enumerate(asked)
        ]
        return await asyncio.gather(*requests)


def at_stripe(stand_in: StandIn, user: str) -> tuple[int, list[Obj]]:
    """How many customers a user has at Stripe, and all sessions."""
    customers = [c for c in stand_in.everything("customers") if c["metadata"].get("user_id") == user]
    sessions = [s for s in stand_in.everything("checkout/sessions") if s["client_reference_id"] == user]
    return len(customers), sessions


def one_for_all(stand_in: StandIn, user: str, answers: Sequence[httpx.Response]) -> None:
    """Everybody was given the one session that there is."""
    customers, sessions = at_stripe(stand_in, user)
    assert (customers, len(sessions)) == (1, 1), f"{user}: {customers} customers, {len(sessions)} sessions"
    assert {answer.json()["id"] for answer in answers if answer.status_code == 201} == {sessions[0]["id"]}


def one_open(stand_in: StandIn, user: str, service: Served) -> None:
    """After users wanted now this, now that: one session is open, and it is the one that is given from now on."""
    customers, sessions = at_stripe(stand_in, user)
    still_open = [session["id"] for session in sessions if session["status"] == "open"]
    assert (customers, len(still_open)) == (1, 1), f"{user}: {customers} customers, {len(still_open)} open"
    again = {service.checkout(user, plan).json()["id"] for plan in ("pro", "pro")}
    assert len(again) == 1
    _, sessions = at_stripe(stand_in, user)
    assert {session["id"] for session in sessions if session["status"] == "open"} == again


def test_duplicates_at_once(tmp_path: Path, stand_in: StandIn, nursery: Nursery, figure: Figure) -> None:
    """Doubled clicks, by the hundred: one session and one customer each; two plans mixed: one open session."""
    service = Life(nursery, settings_in(tmp_path / "s", stand_in.url), tmp_path / "log").start()
    try:
        crowd = asyncio.run(race([service], [("crowd", "pro")] * 200))
        statuses = Counter(answer.status_code for answer in crowd)
        assert statuses.keys() <= {201, 429}, statuses
        assert statuses[201] >= 60
        assert all(int(a.headers["Retry-After"]) >= 1 for a in crowd if a.status_code == 429)
        one_for_all(stand_in, "crowd", crowd)
        for number in range(RACES // AT_ONCE):
            answers = asyncio.run(race([service], [(f"racer_{number}", "pro")] * AT_ONCE))
            assert {answer.status_code for answer in answers} == {201}
            one_for_all(stand_in, f"racer_{number}", answers)
        mixed = asyncio.run(race([service], [("torn", ("pro", "starter")[at % 2]) for at in range(30)]))
        assert {answer.status_code for answer in mixed} == {201}
        one_open(stand_in, "torn", service)
    finally:
        service.close()
    figure(
        11,
        f"{RACES} races of {RACES // AT_ONCE} users: 1 session and 1 customer each; 200 from one user: "
        f"{statuses[201]} × the same session, {statuses[429]} × 429; two plans mixed, 30 at once: 1 open session",
    )


@pytest.mark.parametrize("fault", ["slow", "lost"])
@pytest.mark.parametrize("what", ["customers", "checkout/sessions"])
def test_stripe_did_it_and_nobody_heard(
    tmp_path: Path, stand_in: StandIn, nursery: Nursery, figure: Figure, fault: str, what: str
) -> None:
    """Stripe made it, and its answer came too late or never: asking again finds it, and makes no second one."""
    service = Life(nursery, settings_in(tmp_path / "s", stand_in.url), tmp_path / "log", bounds=(1.0, 4.0)).start()
    spoil = stand_in.spoil(fault, "user_id]=u", "POST", what, value=30 if fault == "slow" else True)
    try:
        unheard = service.checkout("u")
        assert unheard.status_code == 504, unheard.text
        spoil.end()
        customers, before = at_stripe(stand_in, "u")
        assert (customers, len(before)) == (1, int(what == "checkout/sessions"))
        again = service.checkout("u")
        assert again.status_code == 201, again.text
        one_for_all(stand_in, "u", [again])
        assert not before or before[0]["id"] == again.json()["id"]
    finally:
        service.close()
    figure(11, f"{what} made, answer {'late' if fault == 'slow' else fault}: 504, and the retry gets the same one")


def test_two_processes_on_postgresql(tmp_path: Path, stand_in: StandIn, nursery: Nursery, figure: Figure) -> None:
    """Two services on one PostgreSQL are asked at once: the intent is one, wherever it comes in."""
    rounds = RACES // 100
    with temporary_server() as server:
        settings = settings_in(tmp_path / "s", stand_in.url, DATABASE_URL=server.new_database())
        nodes = [Life(nursery, settings, tmp_path / f"{name}.log") for name in ("a", "b")]
        try:
            for node in nodes:
                node.start()
            for number in range(rounds):
                answers = asyncio.run(race(nodes, [(f"racer_{number}", "pro")] * 100))
                assert {answer.status_code for answer in answers} == {201}, Counter(a.text for a in answers)
                one_for_all(stand_in, f"racer_{number}", answers)
            mixed = asyncio.run(race(nodes, [("torn", ("pro", "starter")[at // 2 % 2]) for at in range(40)]))
            statuses = Counter(answer.status_code for answer in mixed)
            assert statuses.keys() <= {201, 409}, Counter(answer.text for answer in mixed)
            assert statuses[201] >= 1
            one_open(stand_in, "torn", nodes[0])
        finally:
            for node in nodes:
                node.close()
    figure(
        11,
        f"two processes on one PostgreSQL: {rounds * 100} races of {rounds} users: 1 session, 1 customer each; "
        f"two plans mixed: 1 open session ({statuses[201]} × 201, {statuses[409]} × 409)",
    )
