"""The watch over the stand-in: nothing leaves it unseen, and what does not fit fails the test."""

from __future__ import annotations

from typing import Any

from tests.kit.counts import unheld, validated
from tests.sandbox.bench import Bench
from tests.sandbox.live import KEY, Live
from tests.sandbox.watch import OLD, misfits

Obj = dict[str, Any]


def seen(kind: str) -> int:
    """How many bodies of a kind were held against a schema, of whatever source the schema is."""
    return sum(n for name, n in validated.items() if name.startswith(kind))


def test_every_answer_and_every_event_is_seen() -> None:
    """A world that a test makes by hand is watched as any other: each of its answers, each of its events, once."""
    answers, events, errors = seen("responses"), seen("event bodies"), validated["errors"]
    bench = Bench()  # an endpoint, a product, a price
    bench.subscribe()  # and a customer
    bench.refuse(404, "GET", "customers/cus_nobody")
    assert seen("responses") - answers == 5
    assert seen("event bodies") - events == len(bench.world.events()) > 5
    assert validated["errors"] - errors == 1


def test_answers_over_http_are_seen() -> None:
    """What a client is answered over HTTP is seen too, also where it is refused before it comes to the world."""
    answers, errors = seen("responses"), validated["errors"]
    live = Live()
    try:
        assert live.http.get("/v1/prices/price_pro", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
        assert live.http.get("/v1/prices/price_pro").status_code == 401
    finally:
        live.close()
    assert (seen("responses") - answers, validated["errors"] - errors) == (1, 1)


def test_a_pre_basil_body_is_counted_apart() -> None:
    """There is no schema of the old shape: such bodies are not said to fit one."""
    answers, others = seen("responses"), unheld.copy()
    bench = Bench(api_version="2023-10-16")
    told = bench.news()[0]["id"]
    bench.call("GET", "prices", version="2023-10-16")
    assert bench.world.event_for(told, bench.endpoint["id"]) is not None
    assert seen("responses") - answers == 3
    assert unheld - others == {f"responses {OLD}": 1, f"event bodies {OLD}": 1}


def test_what_does_not_fit_is_noted() -> None:
    """An answer and an event that Stripe would not send are each noted with their place, to fail the test."""
    world = (bench := Bench()).world
    customer = world.get("customer", bench.post("customers", {"name": "A"})["id"])

    def colour() -> None:
        world.touch(customer)["colour"] = "green"
        world.emit("customer.updated", customer)

    world.operate(colour)
    bench.get(f"customers/{customer['id']}")
    noted = misfits.copy()
    misfits.clear()
    assert [text.partition(":")[0] for text in noted] == ["customer.updated", f"GET /v1/customers/{customer['id']}"]
    assert all("customer has fields that Stripe has not: {'colour'}" in text for text in noted)
