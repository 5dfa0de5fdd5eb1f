"""Row 10.  Each call to Stripe × each way in which Stripe can fail it: bounded, told in words, and mended by itself."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import pytest

from interlock.engine.errors import StripeRefused, StripeUnavailable
from interlock.engine.interlock import Interlock
from interlock.engine.wire.client import RETRIES
from tests.engine.conftest import SECRET, make_config
from tests.faults.processes import Life, Nursery, settings_in
from tests.faults.traffic import Market, Postman
from tests.kit.bodies import Life as Told
from tests.kit.bodies import Sub, body_of, signed
from tests.kit.process import crowd_client
from tests.kit.scale import Figure
from tests.kit.settings import PLANS, bearer
from tests.kit.stripe import SOLD, StandIn

Obj = dict[str, Any]
CALL, WHOLE = 1.5, 5.0
AT_ONCE: Final = 36


class Kind(NamedTuple):
    """One way to fail: the stand-in's name for it, its value, and whether the call comes through."""

    spoil: str
    value: Any = True
    passes: bool = False


KINDS: Final = {
    "500": Kind("status", 500),
    "503": Kind("status", 503),
    "429": Kind("status", 429),
    "429 with Retry-After": Kind("limited", 1),
    "no answer": Kind("timeout", 30),
    "reset": Kind("reset"),
    "slow": Kind("slow", 0.4, passes=True),
    "garbage": Kind("garbage"),
    "wrong object": Kind("wrong"),
    "half an answer": Kind("half"),
    "answer lost": Kind("lost"),
    "answer too late": Kind("slow", 30),
}


class Case(NamedTuple):
    """A user's request that makes one call which is spoiled."""

    call: str
    kind: str
    mark: str
    method: str
    path: str
    user: str
    route: str
    body: Obj

    @property
    def name(self) -> str:
        return f"{self.call} × {self.kind}"


def slug(kind: str) -> str:
    """Return a name of a kind that is not the beginning of another's."""
    return f"k{list(KINDS).index(kind):02}"


async def cases(stand_in: StandIn, client: httpx.AsyncClient, told: dict[str, str]) -> list[Case]:
    """Everything a user can ask Stripe for, once for each kind of fault.  `told`: subscribers and their customers."""
    found: list[Case] = []
    coupon = stand_in.post("coupons", percent_off=10, duration="once")["id"]
    for kind in KINDS:
        end = slug(kind)
        stand_in.post("promotion_codes", promotion__type="coupon", promotion__coupon=coupon, code=f"C{end}")
        opened = await ask(client, Case("", kind, "", "", "", f"again_{end}", "/checkout", {"plan": "starter"}))
        session = opened.json()["id"]
        rows = (
            ("checkout", f"buyer_{end}", "POST", "checkout/sessions", {"plan": "pro"}),
            ("customer", f"newcomer_{end}", "POST", "customers", {"plan": "pro"}),
            ("price lookup", f"lookup_{end}", "GET", "prices", {"plan": f"looked_{end}"}),
            ("promotion code", f"C{end}", "GET", "promotion_codes", {"plan": "pro", "promotion_code": f"C{end}"}),
            ("checkout expired", f"{session}/expire", "POST", "checkout/sessions/", {"plan": "pro"}),
        )
        for call, mark, method, path, body in rows:
            user = {"checkout expired": f"again_{end}", "checkout": mark, "customer": mark}.get(call, f"u_{mark}")
            found.append(Case(call, kind, mark, method, path, user, "/checkout", body))
        user, customer = f"told_{end}", told[f"told_{end}"]
        found.append(Case("portal", kind, customer, "POST", "billing_portal/sessions", user, "/portal", {}))
    return found


async def ask(client: httpx.AsyncClient, case: Case) -> httpx.Response:
    return await client.post(case.route, json=case.body, headers=bearer(case.user))


async def one_case(stand_in: StandIn, client: httpx.AsyncClient, case: Case) -> tuple[str, float, int]:
    """Spoil, ask, let Stripe come back, ask again; returns the answer, how long it took, and how many calls it made."""
    kind = KINDS[case.kind]
    spoil = stand_in.spoil(kind.spoil, case.mark, case.method, case.path, value=kind.value)
    begun = time.monotonic()
    answer = await ask(client, case)
    taken = time.monotonic() - begun
    calls = spoil.end()
    if kind.passes:
        assert answer.status_code == 201, f"{case.name}: {answer.text}"
    else:
        refused = (503,) if case.kind.startswith("429") else (502, 504)
        assert answer.status_code in refused, f"{case.name}: {answer.status_code} {answer.text}"
        assert "429" not in case.kind or answer.headers["Retry-After"].isdigit(), case.name
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert 1 <= calls <= 1 + RETRIES, f"{case.name}: {calls} calls"
    again = await ask(client, case)
    assert again.status_code == 201, f"{case.name}, afterwards: {again.status_code} {again.text}"
    return str(answer.status_code), taken, calls


def looked_up() -> list[Obj]:
    """Plans that are found by a lookup key, one for each kind of fault."""
    return [
        {"key": f"looked_{slug(kind)}", "name": kind, "lookup_key": f"lookup_{slug(kind)}", "amount": 100 + number}
        for number, kind in enumerate(KINDS)
    ]


def test_each_call_each_kind(tmp_path: Path, nursery: Nursery, figure: Figure) -> None:
    """Checkout and portal answer 502 to 504 in time, after few calls; afterwards one customer, one session a user."""
    stand_in = StandIn(plans=[*SOLD, *looked_up()])
    settings = settings_in(tmp_path / "s", stand_in.url)
    more = "".join(f'[plans.{p["key"]}]\nname = "x"\nlookup_key = "{p["lookup_key"]}"\n' for p in looked_up())
    (tmp_path / "s" / "plans.toml").write_text(PLANS + more)
    service = Life(nursery, settings, tmp_path / "log", bounds=(CALL, WHOLE)).start()

    async def all_cases() -> tuple[list[Case], list[tuple[str, float, int]]]:
        told: dict[str, str] = {}
        stand_in.news()  # from here on every event is read, not only the newest page
        for kind in KINDS:
            told[f"told_{slug(kind)}"] = stand_in.subscribe(f"told_{slug(kind)}")["customer"]
        for event in stand_in.news():
            assert service.deliver(event).status_code == 200
        service.await_settled(20)
        async with crowd_client(service.url) as client:
            every = await cases(stand_in, client, told)
            room = asyncio.Semaphore(AT_ONCE)

            async def one(case: Case) -> tuple[str, float, int]:
                async with room:
                    return await one_case(stand_in, client, case)

            return every, await asyncio.gather(*(one(case) for case in every))

    try:
        every, results = asyncio.run(all_cases())
        slowest = max(taken for _, taken, _ in results)
        assert slowest < WHOLE + 4, slowest
        users = {case.user for case in every if case.route == "/checkout"}
        customers = [c["metadata"].get("user_id") for c in stand_in.everything("customers")]
        sessions = [s["client_reference_id"] for s in stand_in.everything("checkout/sessions") if s["status"] == "open"]
        assert [user for user in users if customers.count(user) != 1] == []
        assert [user for user in users if sessions.count(user) != 1] == []
    finally:
        service.close()
        stand_in.close()
    most = max(calls for *_, calls in results)
    figure(
        10,
        f"{len(every)} cases ({len(every) // len(KINDS)} calls × {len(KINDS)} kinds): ≤ {most} requests a call, "
        f"502/504 in ≤ {slowest:.1f} s (bound {WHOLE} s), then 201 with one customer and one open session a user",
    )


def the_real_bounds(tmp_path: Path, stand_in: StandIn, nursery: Nursery, figure: Figure) -> None:
    """With the bounds of the product, a user hears within 20 s, though each of several calls is silent or slow."""
    service = Life(nursery, settings_in(tmp_path / "s", stand_in.url), tmp_path / "log").start()
    coupon = stand_in.post("coupons", percent_off=10, duration="once")["id"]
    stand_in.post("promotion_codes", promotion__type="coupon", promotion__coupon=coupon, code="SLOW")
    # Each call alone comes through, in 6 s; together they would take 24.
    for mark, method, path in (
        ("SLOW", "GET", "promotion_codes"),
        ("user_id]=slow", "POST", "customers"),
        ("team_monthly", "GET", "prices"),
        ("client_reference_id=slow", "POST", "checkout/sessions"),
    ):
        stand_in.spoil("slow", mark, method, path, times=1, value=6)
    stand_in.spoil("timeout", "user_id]=silent", "POST", "customers", value=60)

    async def both() -> list[tuple[int, float]]:
        async with crowd_client(service.url) as client:

            async def timed(user: str, body: Obj) -> tuple[int, float]:
                begun = time.monotonic()
                answer = await client.post("/checkout", json=body, headers=bearer(user))
                return answer.status_code, time.monotonic() - begun

            slow = {"plan": "team", "promotion_code": "SLOW"}
            asked = [timed("slow", slow), timed("silent", {"plan": "pro"}), timed("silent", {"plan": "pro"})]
            return await asyncio.gather(*asked)

    try:
        answers = asyncio.run(both())
    finally:
        service.close()
    assert {status for status, _ in answers} <= {502, 504}, answers
    assert max(seconds for _, seconds in answers) < 20, answers
    figure(
        10, f"the product's own bounds: four slow calls in a row, and silence twice: 504 after {answers[0][1]:.1f} s"
    )


def webhooks_while_stripe_is_gone(
    tmp_path: Path,
    stand_in: StandIn,
    nursery: Nursery,
    figure: Figure,
    bounds: tuple[float, float] | None,
    outage: float,
) -> None:
    """Stripe swallows every call: webhooks are answered 200 as ever, and what is pending settles once it is back."""
    service = Life(nursery, settings_in(tmp_path / "s", stand_in.url), tmp_path / "log", bounds=bounds).start()
    rng = random.Random(10)
    market, postman = Market(stand_in, rng, "g"), Postman(rng)
    for _ in range(20):
        market.grow()
    for _ in range(60):
        market.change()
    events = postman.shuffle(stand_in.news())
    told = Told(Sub(id="sub_proven", customer="cus_proven", user="proven"))
    proven = [
        told.create(),
        *(told.update(told.sub.created + at, cancel_at=told.sub.created + 99 + at) for at in (1, 2)),
    ]
    key = settings_in(tmp_path / "s", stand_in.url)["STRIPE_SECRET_KEY"]
    gone = stand_in.spoil("timeout", key, "GET", "subscriptions/", value=60)
    try:
        begun = time.monotonic()
        waits: list[float] = []
        for event in [*proven, *events]:
            sent = time.monotonic()
            calls = len(stand_in.calls())
            answer = service.deliver(event)
            waits.append(time.monotonic() - sent)
            assert answer.status_code == 200, f"{answer.text}: {service.said()[-2000:]}"
            postman.acknowledged[event["id"]] = answer.json()["outcome"]
            if event in proven:
                assert answer.json()["outcome"] == "applied"
                assert len(stand_in.calls()) - calls == 0
        pending = service.metric("interlock_pending_questions")
        assert pending > 0
        assert stand_in.calls("sub_proven") == []
        time.sleep(max(0.0, outage - (time.monotonic() - begun)))
        asked = len(stand_in.calls("", "GET", "subscriptions/"))
        gone.end()
        settled = service.await_settled(20)
        assert market.drift(service) == []
    finally:
        service.close()
    waits.sort()
    assert waits[-1] < 2, f"an acknowledgement took {waits[-1]:.1f} s"
    words = "short bounds" if bounds else "real bounds"
    figure(
        10,
        f"Stripe silent for {outage:.0f} s ({words}): {len(waits)} webhooks answered 200, half of them in "
        f"{waits[len(waits) // 2] * 1000:.0f} ms, the worst in {waits[-1] * 1000:.0f}, 0 calls before that; "
        f"{asked} asked in vain, {pending:.0f} pending settled {settled:.1f} s after it was back",
    )


def test_while_stripe_is_gone(tmp_path: Path, nursery: Nursery, figure: Figure) -> None:
    """Three services and three Stripes side by side, for most of it is waiting: what users hear, and what webhooks."""
    stories: list[Callable[[Path, StandIn], None]] = [
        lambda folder, stand_in: the_real_bounds(folder, stand_in, nursery, figure),
        lambda folder, stand_in: webhooks_while_stripe_is_gone(folder, stand_in, nursery, figure, (CALL, WHOLE), 12.0),
        lambda folder, stand_in: webhooks_while_stripe_is_gone(folder, stand_in, nursery, figure, None, 4.0),
    ]

    def tell(number: int) -> None:
        stand_in = StandIn()
        try:
            stories[number](tmp_path / f"{number}", stand_in)
        finally:
            stand_in.close()

    for number in range(len(stories)):
        (tmp_path / f"{number}").mkdir()
    with ThreadPoolExecutor(len(stories)) as pool:
        list(pool.map(tell, range(len(stories))))


# --- what the engine asks by itself --------------------------------------------------------------------------


async def _engine(folder: Path, stand_in: StandIn, key: str) -> Interlock:
    config = make_config(folder, stripe_key=key, stripe_base=stand_in.url, call_seconds=CALL, whole_seconds=WHOLE)
    return await Interlock.open(config, service=False)


async def _lists(folder: Path, stand_in: StandIn, which: str, kind: str) -> int:
    """A sweep, or a comparison of one user, whose list is spoiled; returns how many calls were made."""
    key = f"sk_test_{which}_{slug(kind)}_0123456789"
    engine = await _engine(folder, stand_in, key)
    spoilt = KINDS[kind]
    user = f"u_{which}_{slug(kind)}"
    told = Told(Sub(id=f"sub_{user}", customer=f"cus_{user}", user=user, created=int(time.time()) - 100))
    body = body_of(told.create())
    await engine.receive(body, signed(body, SECRET, time.time()).encode())
    path = {"events": "events", "subscriptions": "subscriptions", "subscription": "subscriptions/"}[which]

    async def asked() -> None:
        if which == "events":
            await engine.sweep()
        else:
            await engine.reconcile(user_id=user, everything=False, dry_run=False)

    spoil = stand_in.spoil(spoilt.spoil, key, "GET", path, value=spoilt.value)
    begun = time.monotonic()
    try:
        if spoilt.passes:
            await asked()
        else:
            with pytest.raises((StripeUnavailable, StripeRefused)):
                await asked()
        assert time.monotonic() - begun < 2 * WHOLE + 4
        calls = spoil.end()
        await asked()
    finally:
        await engine.close()
    return 1 if spoilt.passes else calls


@pytest.mark.anyio
async def test_each_list_each_kind(tmp_path: Path, stand_in: StandIn, figure: Figure) -> None:
    """The events' list, the subscriptions' list, the reading of one: bounded, raised in words, and whole afterwards."""
    lists = [(which, kind) for which in ("events", "subscriptions", "subscription") for kind in KINDS]
    folders = [tmp_path / f"{number}" for number in range(len(lists))]
    for folder in folders:
        folder.mkdir()
    pairs = zip(folders, lists, strict=True)
    calls = await asyncio.gather(*(_lists(folder, stand_in, which, kind) for folder, (which, kind) in pairs))
    assert all(1 <= number <= 1 + RETRIES for number in calls), list(zip(lists, calls, strict=True))
    figure(10, f"{len(lists)} cases of what the engine asks by itself: ≤ {max(calls)} requests a call, then whole")
