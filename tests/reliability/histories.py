"""The histories of Stripe's that are explored: which changes, in which seconds, told by which event objects."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Final

from tests.reliability.bodies import MONTH, START, Obj, event, invoice, subscription
from tests.reliability.laboratory import Story, event_id

LETTERS: Final[dict[str, dict[str, Any]]] = {
    "A": {"status": "active"},
    "B": {"status": "past_due"},
    "C": {"status": "active", "quantity": 2},
    "I": {"status": "incomplete"},
    "P": {"status": "paused"},
    "T": {"status": "trialing", "trial_end": START + MONTH},
    "U": {"status": "hibernating"},
    "X": {"status": "canceled"},
    "E": {"status": "incomplete_expired"},
}
"""What a subscription may be; the same letter again is the same facts again."""
ENDS: Final = "XE"


def _types(letter: str, first: bool, twins: int) -> list[str]:
    if first:
        return ["customer.subscription.created"] * twins
    if letter == "X":
        return ["customer.subscription.deleted"] * twins
    if letter == "P":  # Stripe tells of a pause twice, and one of the two says nothing of what was before
        return ["customer.subscription.updated", "customer.subscription.paused"]
    return ["customer.subscription.updated"] * twins


def story(letters: str, times: tuple[int, ...], twins: int) -> Story:
    """Return the history in which the subscription was each of the letters in turn, in these seconds."""
    seconds = [START + at for at in times]
    bodies = [subscription(**LETTERS[letter]) for letter in letters]
    events: list[tuple[bytes, ...]] = []
    for change, letter in enumerate(letters):
        objects: list[bytes] = []
        for twin, kind in enumerate(_types(letter, change == 0, twins)):
            before = bodies[change - 1] if kind.endswith("updated") else None
            objects.append(event(kind, seconds[change], bodies[change], id=event_id(change, twin), before=before))
        events.append(tuple(objects))
    name = f"{letters} in seconds {times}"
    return Story(name, tuple(events), tuple(bodies), tuple(seconds), alike="P" not in letters)


def seconds(changes: int) -> Iterator[tuple[int, ...]]:
    """Yield every way to spread changes over seconds, ties included."""
    for steps in itertools.product((0, 1), repeat=changes - 1):
        yield (0, *itertools.accumulate(steps))


def histories(changes: int, alphabet: str, firsts: str, twins: int) -> Iterator[Story]:
    """Yield every history of this many changes; only the last may be an end."""
    for letters in itertools.product(*[alphabet] * (changes - 1), alphabet + ENDS):
        begins = letters[0] in firsts + "X"
        follows = all(a != b and (b != "E" or a == "I") for a, b in itertools.pairwise(letters))
        if begins and follows:
            for times in seconds(changes):
                yield story("".join(letters), times, twins)


def with_bills(letters: str, times: tuple[int, ...]) -> Story:
    """Return the history in which invoices tell of the changes too: each in its state after the change.

    The first is paid; each `B` is a renewal whose payment failed; what follows a `B` pays it, or ends it as void.
    """
    seconds = [START + at for at in times]
    events: list[tuple[bytes, ...]] = []
    answers: list[Obj] = []
    bodies: list[Obj] = []
    number, status, failed_at, created = 1, "paid", None, seconds[0]
    for change, letter in enumerate(letters):
        kind = "invoice.paid"
        if letter == "B":
            number, status, failed_at, created = number + 1, "open", seconds[change], seconds[change]
            kind = "invoice.payment_failed"
        elif status == "open":
            status = "void" if letter in ENDS else "paid"
            kind = "invoice.voided" if letter in ENDS else "invoice.paid"
        bill = invoice(id=f"in_{number}", status=status, created=created)
        bodies.append(subscription(**LETTERS[letter], latest_invoice=bill["id"]))
        answers.append({**bodies[-1], "latest_invoice": bill})
        before = bodies[-2] if change else None
        kinds = _types(letter, change == 0, 1)
        its = bodies[-1] if before is not None and kinds[0].endswith("updated") else None
        first = event(kinds[0], seconds[change], bodies[-1], id=event_id(change, 0), before=before if its else None)
        second = event(kind, seconds[change], bill, id=event_id(change, 1))
        events.append((first, second))
    owed = failed_at if status == "open" else None
    name = f"{letters} with invoices in seconds {times}"
    return Story(name, tuple(events), tuple(answers), tuple(seconds), alike=False, all_delivered=True, owed=owed)
