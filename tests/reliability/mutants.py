"""Hand-picked faults, each a small change of the engine (`surgery`), and the promise that it must break."""

from __future__ import annotations

from typing import Final, NamedTuple

from tests.reliability.surgery import (
    Change,
    calls,
    compares,
    drops,
    forces,
    gives,
    replaces,
    returns,
    row,
    says,
    unguarded,
)

WEIGHED, TABLE, CONVERGES = (
    "every_cell_is_weighed_by_the_rule",
    "the_table_is_stripes_lifecycle",
    "small_histories_converge",
)
SETTLED, FENCED, OTHERS = "what_waits_is_asked_and_settled", "a_404_is_fenced", "others_events_touch_nothing"
GRACE, MERGED, ACCESS = "grace_runs_from_the_failure", "invoices_merge_in_any_order", "access_follows_the_rules"
SIGNED, VERSIONS, COMMITTED = "only_stripe_can_sign", "every_version_says_the_same", "what_is_acknowledged_is_committed"
ENDS = "the_store_keeps_an_end"
HEALED, LEARNED = "a_sweep_heals_what_was_lost", "a_customers_user_is_learned"


class Mutant(NamedTuple):
    """A name for people, what is changed, and the promise that must notice."""

    name: str
    change: Change
    promise: str


MUTANTS: Final = (
    Mutant("ties count as later", compares("proven_next", "created", "as_of", by="<"), WEIGHED),
    Mutant("ties count as later, explored", compares("proven_next", "created", "as_of", by="<"), CONVERGES),
    Mutant("the chain is not looked at", replaces("proven_next",
           "evidence.previous.completed_by(known.facts) == known.facts", "True"), WEIGHED),
    Mutant("later is not looked at", forces("proven_next", "as_of", to=False), CONVERGES),
    Mutant("every webhook is proven", returns("proven_next", "True"), CONVERGES),
    Mutant("no fence", returns("nothing_arrived_since", "True"), CONVERGES),
    Mutant("no fence, cell by cell", returns("nothing_arrived_since", "True"), WEIGHED),
    Mutant("a fence that lets older questions through", compares("nothing_arrived_since", "evidence_at_ask", by="<="),
           CONVERGES),
    Mutant("corrects without asking", returns("stripe_was_asked", "True"), WEIGHED),
    Mutant("a trial needs no end ahead", returns("trial_ahead", "True"), WEIGHED),
    Mutant("pauses what is billed by mail", returns("charges_automatically", "True"), WEIGHED),
    Mutant("an end needs proof", returns("is_terminal", "False"), WEIGHED),
    Mutant("not_ended lets all through", returns("not_ended", "True"), WEIGHED),
    Mutant("unknown statuses pass", returns("status_known", "True"), WEIGHED),
    Mutant("not_ended is forgotten", forces("decide", "not_ended", to=False), WEIGHED),
    Mutant("unchanged is not counted", gives("_keep", "evidence", "known.evidence"), CONVERGES),
    Mutant("applied is not counted", gives("machine._next", "evidence", "known.evidence"), CONVERGES),
    Mutant("pending is not counted", returns("counted", "known"), CONVERGES),
    Mutant("unchanged moves no date", gives("_keep", "as_of", "known.as_of"), CONVERGES),
    Mutant("dates go backwards", gives("machine._next", "as_of", "evidence.created"), WEIGHED),
    Mutant("a late webhook overrules an unknown status", forces("decide", "unknown_status", to=False), WEIGHED),
    Mutant("hints always fit", forces("decide", "consistent_with", to=True), WEIGHED),

    Mutant("a row is missing", row("recover", "unpaid", "()"), TABLE),
    Mutant("a destination is swapped",
           row("mark_unpaid", "past_due", "(msgspec.structs.replace(row, destination=State.INCOMPLETE),)"), TABLE),
    Mutant("a row lost its proof", unguarded("activate", "incomplete", "proven_next"), TABLE),
    Mutant("update lost its proof", unguarded("update", None, "proven_next"), TABLE),
    Mutant("correct lost its guard", unguarded("correct", None, "stripe_was_asked"), TABLE),
    Mutant("a trial lost its guard", unguarded("start_trial", "active", "trial_ahead"), TABLE),
    Mutant("a canceled one comes back", row("resume", "paused", "(row, msgspec.structs.replace(row, trigger='revive', "
           "source=State.CANCELED, destination=State.ACTIVE))"), TABLE),

    Mutant("the duplicate check is gone", forces("take", "event_seen", to=False), SETTLED),
    Mutant("the other mode is taken", forces("take", "livemode", to=True), OTHERS),
    Mutant("another account is taken", forces("take", "account", to=True), OTHERS),
    Mutant("pending, and nobody will ask", forces("_note_decision", "PENDING", to=False), SETTLED),
    Mutant("all that waited is applied", replaces("_close_waiting", "Outcome.STALE", "outcome"), SETTLED),
    Mutant("the question is never done", drops("take_answer", "done"), SETTLED),
    Mutant("what waited is not closed", replaces("_close_waiting", "enumerate(waiting)", "enumerate(waiting[:1])"),
           SETTLED),
    Mutant("a 404 has no fence", forces("_no_such_subscription", "evidence_at_ask", to=False), FENCED),
    Mutant("grace from receipt", replaces(
        "_about_subscription", "_note_invoice(known, event.invoice)", "_note_invoice(known, "
        "msgspec.structs.replace(event.invoice, failed_at=event.invoice.failed_at and int(unit.now)))"), GRACE),

    Mutant("the last word on an invoice wins", replaces("merge", "max(both, key=_progress)", "reported"), MERGED),
    Mutant("grace from the last failure", calls("merge", "min", "max"), GRACE),
    Mutant("cancel_at is ignored", returns("_has_ended", "False"), ACCESS),
    Mutant("grace never ends", replaces("Subject.grace_end", "DAY", "DAY * 999"), ACCESS),
    Mutant("grace ends a second late", replaces("Subject.grace_end", "DAY", "DAY + 1"), ACCESS),
    Mutant("paused collection pays", returns("_paused_collection_denies", "False"), ACCESS),
    Mutant("an unknown status grants", replaces("rule_for", "RULES", "RULES[1:]"), ACCESS),

    Mutant("an empty secret signs", forces("verify", "secret", to=False), SIGNED),
    Mutant("the future is accepted", calls("verify", "abs", None), SIGNED),
    Mutant("any signature will do", forces("verify", "matched", to=False), SIGNED),
    Mutant("the time is not signed", replaces("verify", 'timestamp + b"." + body', 'b"1780000000." + body'), SIGNED),
    Mutant("the latest end counts", calls("facts_of", "min", "max"), VERSIONS),
    Mutant("cancel_at_period_end is ignored", forces("facts_of", "cancel_at_period_end", to=False), VERSIONS),

    Mutant("acknowledged before COMMIT", drops("_transact", "COMMIT"), COMMITTED),
    Mutant("the row of an ended one is overwritten", says("subscription_put", r"WHERE subscription\.state NOT IN .*"
           r"excluded\.state", ""), ENDS),
    Mutant("the row of an ended one is changed", says("subscription_update", r" AND \(state NOT IN [^)]*\) OR [^)]*\)",
           ""), ENDS),
    Mutant("a lease leases nothing", says("queue_claim", r"lease_until = (?=:)", "lease_until = 0 * "), SETTLED),
    Mutant("a question forgets what was heard",
           replaces("claim", "(yield from records.evidence_of(job.key))", "0"), SETTLED),
    Mutant("a sweep only looks", replaces("Sweep._repair", 'await self._asker.ask_now(subscription_id, "reconcile")',
           "Outcome.UNCHANGED"), HEALED),
    Mutant("a late user is not linked", drops("link_decisions", "event_link"), LEARNED),
)  # fmt: skip
