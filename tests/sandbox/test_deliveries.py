"""What the panel tells of deliveries: how each went, and what the endpoint answered."""

from __future__ import annotations

from interlock.api.sandbox.core.outbox import ANSWER_MAX, Outbox


def test_what_an_endpoint_answered_is_kept() -> None:
    """As in the Dashboard: the answer stands with its try, and only its beginning where it is long."""
    box = Outbox()
    for answer in ('{"outcome":"duplicate"}', "x" * 10_000):
        box.add({"id": "evt_1", "type": "invoice.paid"}, "we_1", 0)
        box.done(box.due(0)[0], 0, 200, "invoice.paid", answer)
    assert [entry["answer"] for entry in box.log] == ['{"outcome":"duplicate"}', "x" * ANSWER_MAX]
