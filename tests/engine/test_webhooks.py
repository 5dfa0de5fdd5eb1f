"""One webhook's bytes: whose hand signed them, and what they are evidence of."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

import pytest
import stripe
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.engine.core.states import Kind
from interlock.engine.errors import BadEvent, BadSignature
from interlock.engine.wire.events import EVENT_TYPES, read
from interlock.engine.wire.signature import verify
from tests.kit.bodies import NEWEST, OLDEST, T0, VERSIONS, Bill, Obj, Sub, body_of, customer, event, session, signed

SECRET = b"whsec_0123456789abcdef"
OTHER = b"whsec_another_secret_of_this"
BODY = b'{"id": "evt_1", "type": "customer.subscription.updated"}'


def mac(secret: bytes, at: bytes, body: bytes = BODY) -> bytes:
    return hmac.new(secret, at + b"." + body, hashlib.sha256).hexdigest().encode()


def header(at: int = T0, secret: bytes = SECRET, body: bytes = BODY) -> bytes:
    return b"t=%d,v1=%s" % (at, mac(secret, b"%d" % at, body))


def refused(given_header: bytes | None, *, secrets: tuple[bytes, ...] = (SECRET,), now: float = T0) -> bool:
    try:
        verify(BODY, given_header, secrets, now)
    except BadSignature as error:
        return bool(str(error))
    return False


# --- the signature ---------------------------------------------------------------------------------------


def test_stripes_own_hand_is_believed() -> None:
    """What the stripe SDK signs is taken, and the SDK takes what our tests sign: one scheme."""
    now = int(time.time())
    verify(BODY, signed(BODY, SECRET.decode(), now).encode(), (SECRET,), now)
    assert stripe.WebhookSignature.verify_header(BODY.decode(), header(now).decode(), SECRET.decode(), 300)  # pyright: ignore


@given(st.binary(max_size=200).map(lambda raw: raw.hex()), st.text(max_size=50))
def test_any_body_of_stripes_is_believed(first: str, second: str) -> None:
    """The bytes are what is signed, whatever they say."""
    body = json.dumps([first, second], ensure_ascii=False).encode()
    verify(body, signed(body, SECRET.decode(), T0).encode(), (SECRET,), T0)


@pytest.mark.parametrize(("away", "taken"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)])
def test_a_timestamp_may_be_300_seconds_away(away: int, taken: bool) -> None:
    """A replay from long ago and a timestamp from the future are refused; exactly 300 s is not more than 300."""
    assert refused(header(T0 - away)) is not taken


@pytest.mark.parametrize("secret", [b"whsec_not_ours_0123456789", SECRET.upper(), SECRET + b" "])
def test_a_forged_signature_is_refused(secret: bytes) -> None:
    """Nobody without the secret makes a signature."""
    assert refused(header(secret=secret))


def test_an_empty_secret_proves_nothing() -> None:
    """An empty secret would let anybody sign: it never matches, not even beside a real one."""
    assert refused(header(secret=b""), secrets=(b"",))
    assert refused(header(secret=b""), secrets=(b"", SECRET))
    assert refused(header(), secrets=())
    assert not refused(header(), secrets=(b"", SECRET))


def test_a_rolled_secret_is_taken_beside_the_old_one() -> None:
    """Rotation: any of our secrets, any of the header's signatures."""
    both = b"t=%d,v1=%s,v1=%s" % (T0, mac(b"whsec_unknown_to_us", b"%d" % T0), mac(OTHER, b"%d" % T0))
    assert not refused(both, secrets=(SECRET, OTHER))
    assert refused(both, secrets=(SECRET,))


@pytest.mark.parametrize(
    "bad",
    [
        None, b"", b"t=", b"v1=", b",,,", b"=", b"garbage", b"t=%d" % T0,
        b"v1=" + mac(SECRET, b"%d" % T0),
        b"t=%d,v0=%s" % (T0, mac(SECRET, b"%d" % T0)),
        b"t=%d,v1=" % T0,
        b"t=x,v1=" + mac(SECRET, b"x"),
        b"t=-5,v1=" + mac(SECRET, b"-5"),
        b"t=1.5,v1=" + mac(SECRET, b"1.5"),
        b"t=\xc2\xb2,v1=" + mac(SECRET, "²".encode()),
        b"t=" + b"9" * 5_000 + b",v1=00",
        b"t=%d,t=%d,v1=%s" % (T0, T0, mac(SECRET, b"%d" % T0)),
        b"t=%d,v1=%s" % (T0, mac(SECRET, b"%d" % T0).upper()),
        b"t=%d,v1=%s" % (T0, b"\xff\xfe\x00\xc3\xa9"),
        b"t=%d,v1=%s" % (T0, mac(SECRET, b"%d" % T0)[:-1]),
        b"t=%d,%s" % (T0, b",".join([b"v1=" + b"0" * 64] * 10_000)),
        b"t=%d,%s,v1=%s" % (T0, b",".join([b"v1=" + b"0" * 64] * 32), mac(SECRET, b"%d" % T0)),
    ],
)  # fmt: skip
def test_a_malformed_header_is_refused(bad: bytes | None) -> None:
    """Missing, empty, without a v1, with a v0 alone, not ASCII, endless: a plain no, never a crash."""
    assert refused(bad)


@given(st.binary(max_size=300))
@example(b"t=1,v1=\x80")
def test_no_header_crashes_the_check(garbage: bytes) -> None:
    """Whatever comes in the header is refused."""
    assert refused(garbage)


def test_each_byte_is_signed() -> None:
    """One flipped bit anywhere in the body, the timestamp or the signature is refused."""
    good = header()
    for at in range(len(BODY)):
        changed = bytearray(BODY)
        changed[at] ^= 1
        with pytest.raises(BadSignature):
            verify(bytes(changed), good, (SECRET,), T0)
    for at in range(len(good)):
        changed = bytearray(good)
        changed[at] ^= 1
        assert refused(bytes(changed))


# --- reading ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"null", b"7", b'"evt"', b"[]", b'[{"id":"evt_1","type":"x"}]', b"{", b"{}", b"\xff\xfe{}",
        b'\xef\xbb\xbf{"id":"evt_1","type":"x"}',
        b'{"id":"evt_1"}', b'{"type":"x"}', b'{"id":null,"type":"x"}', b'{"id":7,"type":"x"}',
        b'{"id":"evt_1","type":7}', b'{"id":"evt_1","type":["x"]}', b'{"id":"","type":"x"}',
        b'{"id":"evt_1","type":"x"} trailing', b'{"id":"evt_1","type":"x","a":NaN}',
        b'{"id":"evt_1","type":"x","a":Infinity}', b'{"id":"evt\xff","type":"x"}', b"{'id':'evt_1','type':'x'}",
        '{"id":"evt_1","type":"x"}'.encode("utf-16"), b'{"id":"e\\u0000","type":"x"}',
        b'{"id":"evt_1","type":"x","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"id":"evt_1","type":"x","data":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
        b'{"id":"' + b"e" * 256 + b'","type":"x"}',
    ],
    ids=lambda body: repr(body[:40]),
)  # fmt: skip
def test_a_body_that_is_no_event_is_refused(body: bytes) -> None:
    """Not UTF-8, not JSON, not an object, nested beyond reason, `id` or `type` missing or not text: BadEvent."""
    with pytest.raises(BadEvent) as caught:
        read(body)
    assert str(caught.value)


@given(st.binary(max_size=200))
def test_no_body_crashes_the_reading(garbage: bytes) -> None:
    """Random bytes are either an event or a BadEvent."""
    with pytest.raises(BadEvent):
        read(garbage)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["id", "status", "customer", "items", "metadata", "created", "cancel_at", "pause_collection", "subscription",
     "parent", "status_transitions", "client_reference_id", "mode", "deleted", "trial_end", "latest_invoice"]
)  # fmt: skip


@given(st.sampled_from(EVENT_TYPES), st.dictionaries(FIELDS, JSON, max_size=4), JSON, JSON)
def test_no_object_crashes_the_reading(type_: str, fields: Obj, previous: Any, created: Any) -> None:
    """A signed event of any mapped type with any fields in it is read, at the worst as evidence without facts."""
    told = event(type_, Sub().json() | fields) | {"created": created}
    told["data"]["previous_attributes"] = previous
    heard = read(json.dumps(told).encode())
    assert heard.type == type_
    assert heard.facts is None or heard.evidence is not None


@pytest.mark.parametrize("data", [None, 7, "x", [], {}, {"object": None}, {"object": []}, {"object": "sub_1"},
                                  {"object": {}}])  # fmt: skip
@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_an_event_without_an_object_is_of_no_interest(type_: str, data: Any) -> None:
    """`data` or its `object` missing: an event all the same, kept and ignored."""
    told = event(type_, {}) | {"data": data}
    heard = read(json.dumps(told).encode())
    assert (heard.id, heard.of_interest) == (told["id"], False)
    del told["data"]
    assert not read(json.dumps(told).encode()).of_interest


SCHEDULE_TYPES = ("created", "updated", "released", "canceled", "completed", "aborted", "expiring")


@pytest.mark.parametrize("name", SCHEDULE_TYPES)
@pytest.mark.parametrize("where", ["subscription", "released_subscription"])
def test_kind_n_a_schedules_event_is_a_hint_about_its_subscription(name: str, where: str) -> None:
    """What it plans stands in no event of the subscription, so Stripe is asked; one of no subscription is not ours."""
    schedule = {"id": "sub_sched_1", "object": "subscription_schedule", "customer": "cus_1", where: "sub_1"}
    heard = read(body_of(event(f"subscription_schedule.{name}", schedule)))
    assert (heard.of_interest, heard.subscription_id, heard.customer_id) == (True, "sub_1", "cus_1")
    assert heard.evidence is not None
    assert (heard.evidence.kind, heard.evidence.consistent_with) == (Kind.HINT, frozenset())
    alone = {key: value for key, value in schedule.items() if key != where}
    assert not read(body_of(event(f"subscription_schedule.{name}", alone))).of_interest


def test_the_mapped_types_are_the_contracts() -> None:
    """The types that issue 2 names, and those of schedules, every one of them and no other."""
    subscription = "created updated deleted paused resumed trial_will_end pending_update_applied pending_update_expired"
    invoice = "paid payment_failed payment_action_required finalized marked_uncollectible voided overdue"
    expected = (
        [f"customer.subscription.{name}" for name in subscription.split()]
        + [f"invoice.{name}" for name in invoice.split()]
        + [f"checkout.session.{name}" for name in ("completed", "expired")]
        + [f"checkout.session.async_payment_{name}" for name in ("succeeded", "failed")]
        + [f"customer.{name}" for name in ("created", "updated", "deleted")]
        + [f"subscription_schedule.{name}" for name in SCHEDULE_TYPES]
        + ["entitlements.active_entitlement_summary.updated"]
    )
    assert sorted(EVENT_TYPES) == sorted(expected)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("type_", [name for name in EVENT_TYPES if name.startswith("customer.subscription.")])
def test_a_subscription_event_is_the_whole_of_it(type_: str, version: str) -> None:
    """Each carries the subscription's facts, in every API version."""
    heard = read(body_of(event(type_, Sub().json(version), version=version, created=T0 + 5)))
    assert heard.of_interest
    assert (heard.subscription_id, heard.customer_id, heard.created) == ("sub_1", "cus_1", T0 + 5)
    assert heard.evidence is not None
    assert heard.evidence.kind is Kind.SNAPSHOT
    assert heard.facts is not None
    assert heard.facts.status == "active"


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("type_", [name for name in EVENT_TYPES if name.startswith("invoice.")])
def test_an_invoice_event_is_a_hint(type_: str, version: str) -> None:
    """It carries no facts: what it teaches is a bill; only the failures say when a payment failed."""
    heard = read(body_of(event(type_, Bill().json(version), version=version, created=T0 + 5)))
    assert heard.evidence is not None
    assert heard.evidence.kind is Kind.HINT
    assert heard.facts is None
    assert heard.invoice is not None
    fails = type_ in {"invoice.payment_failed", "invoice.payment_action_required", "invoice.overdue"}
    assert heard.invoice.failed_at == (T0 + 5 if fails else None)


def test_an_invoice_of_no_subscription_is_of_no_interest() -> None:
    """A one-off bill is not about a subscription."""
    assert not read(body_of(event("invoice.paid", Bill(subscription=None).json()))).of_interest


def test_a_checkout_event_says_whom_it_was_for() -> None:
    """The session, its end, the customer, and the user whom our checkout named."""
    heard = read(body_of(event("checkout.session.completed", session())))
    assert (heard.subscription_id, heard.customer_id) == ("sub_1", "cus_1")
    assert heard.checkout is not None
    assert (heard.checkout.status, heard.checkout.user_id) == ("complete", "u_1")
    late = read(body_of(event("checkout.session.expired", session(subscription=None, customer=None, status="open"))))
    assert late.checkout is not None
    assert (late.checkout.status, late.subscription_id) == ("expired", None)


@pytest.mark.parametrize("mode", ["payment", "setup"])
def test_a_checkout_of_something_else_is_of_no_interest(mode: str) -> None:
    """A one-off payment through Checkout is not about a subscription."""
    assert not read(body_of(event("checkout.session.completed", session(mode=mode)))).of_interest


def test_a_customer_event_says_whose_it_is() -> None:
    """Metadata names the user; a deleted customer is known as such."""
    heard = read(body_of(event("customer.updated", customer(user="u_1"))))
    assert heard.customer is not None
    assert (heard.customer.user_id, heard.customer.deleted) == ("u_1", False)
    gone = read(body_of(event("customer.deleted", customer())))
    assert gone.customer is not None
    assert gone.customer.deleted


def test_an_entitlement_event_names_a_customer() -> None:
    """It says whose entitlements moved, not which subscription moved them."""
    summary = {"object": "entitlements.active_entitlement_summary", "customer": "cus_1", "livemode": False}
    heard = read(body_of(event("entitlements.active_entitlement_summary.updated", summary)))
    assert (heard.of_interest, heard.customer_id, heard.subscription_id) == (True, "cus_1", None)


@pytest.mark.parametrize(
    "type_", ["product.created", "customer.subscription.frozen", "x", "payment_intent.succeeded", "invoice.created"]
)
def test_an_unmapped_type_is_an_event_of_no_interest(type_: str) -> None:
    """Stripe may send what was not asked for, and types that come tomorrow."""
    heard = read(body_of(event(type_, Sub().json())))
    assert (heard.type, heard.of_interest, heard.facts) == (type_, False, None)


@pytest.mark.parametrize(
    ("type_", "obj"),
    [
        ("customer.subscription.updated", Sub().json() | {"status": 7}),
        ("customer.subscription.updated", Sub().json() | {"items": "many"}),
        ("invoice.paid", {"id": "in_1", "subscription": "sub_1", "attempt_count": "three"}),
        ("invoice.paid", Bill().json() | {"attempt_count": "three"}),
        ("checkout.session.completed", session() | {"expires_at": "soon"}),
    ],
    ids=["status", "items", "invoice of old", "invoice of now", "session"],
)
def test_an_object_of_an_unknown_shape_still_says_whom_to_ask_about(type_: str, obj: Obj) -> None:
    """Evidence without facts: which subscription it is about can be read, so Stripe can be asked."""
    heard = read(body_of(event(type_, obj)))
    assert (heard.of_interest, heard.subscription_id, heard.facts, heard.invoice) == (True, "sub_1", None, None)


@pytest.mark.parametrize("created", [None, "now", -1, 1.5, 2**70, [], {}])
def test_an_event_without_a_usable_time_is_the_oldest(created: Any) -> None:
    """`created` that is none proves nothing."""
    assert read(json.dumps(event("x", {}) | {"created": created}).encode()).created == 0


def test_mode_and_account_are_read() -> None:
    """Another mode's or a connected account's event is known as such."""
    heard = read(body_of(event("x", {}, livemode=True, account="acct_1")))
    assert (heard.livemode, heard.account) == (True, "acct_1")


def test_the_body_is_read_once_and_the_last_of_two_names_counts() -> None:
    """Duplicate keys: one meaning, the same for the id that is stored and the one that is answered."""
    assert read(b'{"id":"evt_1","id":"evt_2","type":"x"}').id == "evt_2"


@pytest.mark.parametrize("previous", [None, [], "x", 7])
def test_previous_attributes_that_are_none_prove_nothing(previous: Any) -> None:
    """Without a hash of what changed there is no chain."""
    told = event("customer.subscription.updated", Sub().json())
    told["data"]["previous_attributes"] = previous
    heard = read(body_of(told))
    assert heard.evidence is not None
    assert heard.evidence.previous is None
