"""Hand-picked faults, each a small change of the engine's text, and the promise that it must break."""

from __future__ import annotations

from typing import Final, NamedTuple

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
    """In `file`, `old`, which stands there exactly once, becomes `new`; `promise` must notice."""

    name: str
    file: str
    old: str
    new: str
    promise: str


def _guard(name: str, old: str, new: str, promise: str) -> Mutant:
    return Mutant(name, "core/guards.py", old, new, promise)


def _machine(name: str, old: str, new: str, promise: str) -> Mutant:
    return Mutant(name, "core/machine.py", old, new, promise)


def _row(name: str, old: str, new: str) -> Mutant:
    return Mutant(name, "core/table.py", old, new, TABLE)


def _work(name: str, old: str, new: str, promise: str) -> Mutant:
    return Mutant(name, "units/evidence.py", old, new, promise)


_LATER, _CHAIN = "evidence.created > known.as_of", "evidence.previous == known.facts"
_FENCE = "return evidence.evidence_at_ask == known.evidence"
_KEEP_COUNTS = "evidence=known.evidence + 1,\n        unknown_status=None if heard_of_it"
_NEXT_COUNTS = "evidence=known.evidence + 1,\n        since="

MUTANTS: Final = (
    _guard("ties count as later", _LATER, "evidence.created >= known.as_of", WEIGHED),
    _guard("ties count as later, explored", _LATER, "evidence.created >= known.as_of", CONVERGES),
    _guard("the chain is not looked at", f"{_LATER} and {_CHAIN}", _LATER, WEIGHED),
    _guard("later is not looked at", f"{_LATER} and {_CHAIN}", _CHAIN, CONVERGES),
    _guard("every webhook is proven", f"{_LATER} and {_CHAIN}", "True", CONVERGES),
    _guard("no fence", _FENCE, "return True", CONVERGES),
    _guard("no fence, cell by cell", _FENCE, "return True", WEIGHED),
    _guard("a fence that lets older questions through", _FENCE, _FENCE.replace("==", "<="), CONVERGES),
    _guard("corrects without asking", "return evidence.kind is Kind.ANSWER", "return True", WEIGHED),
    _guard("a trial needs no end ahead", "return facts.trial_end is not None and facts.trial_end > evidence.created",
           "return True", WEIGHED),
    _guard("pauses what is billed by mail", "return facts.charges_automatically", "return True", WEIGHED),
    _guard("an end needs proof", "return facts.status in ENDED", "return False", WEIGHED),
    _guard("not_ended lets all through", "return known.state not in ENDED", "return True", WEIGHED),
    _guard("unknown statuses pass", "return facts.status in STATUSES", "return True", WEIGHED),
    _machine("not_ended is forgotten", "    if not guards.not_ended(known, evidence, facts):\n        return _about",
             "    if False:\n        return _about", WEIGHED),
    _machine("unchanged is not counted", _KEEP_COUNTS, _KEEP_COUNTS.replace(" + 1", ""), CONVERGES),
    _machine("applied is not counted", _NEXT_COUNTS, _NEXT_COUNTS.replace(" + 1", ""), CONVERGES),
    _machine("pending is not counted", "return msgspec.structs.replace(known, evidence=known.evidence + 1)",
             "return known", CONVERGES),
    _machine("unchanged moves no date", "as_of=max(known.as_of, evidence.created) if heard_of_it else known.as_of",
             "as_of=known.as_of", CONVERGES),
    _machine("dates go backwards", "as_of=max(known.as_of, evidence.created),\n        evidence=",
             "as_of=evidence.created,\n        evidence=", WEIGHED),
    _machine("a late webhook overrules an unknown status",
             "if known.unknown_status is not None and evidence.kind is not Kind.ANSWER", "if False", WEIGHED),
    _machine("hints always fit", "if known.state in evidence.consistent_with:", "if True:", WEIGHED),
    _row("a row is missing", '    Transition("recover", UNPAID, ACTIVE, (proven_next,), (UPDATED, PAID),\n'
         '               "the most recent invoice was paid"),\n', ""),
    _row("a destination is swapped", 'Transition("mark_unpaid", PAST_DUE, UNPAID,',
         'Transition("mark_unpaid", PAST_DUE, INCOMPLETE,'),
    _row("a row lost its proof", 'Transition("activate", INCOMPLETE, ACTIVE, (proven_next,),',
         'Transition("activate", INCOMPLETE, ACTIVE, (),'),
    _row("update lost its proof", 'Transition("update", state, state, (proven_next,),',
         'Transition("update", state, state, (),'),
    _row("correct lost its guard", 'Transition("correct", state, None, (stripe_was_asked,),',
         'Transition("correct", state, None, (),'),
    _row("a trial lost its guard", 'Transition("start_trial", ACTIVE, TRIALING, (proven_next, trial_ahead),',
         'Transition("start_trial", ACTIVE, TRIALING, (proven_next,),'),
    _row("a canceled one comes back", '_EVERYWHERE: Final = tuple(\n', '_BACK: Final = Transition("revive", CANCELED, '
         'ACTIVE, (proven_next,), (UPDATED,), "")\n_EVERYWHERE: Final = (_BACK,) + tuple(\n'),
    _work("the duplicate check is gone", 'if (yield "event_seen", (event.id,)):', "if False:", SETTLED),
    _work("the other mode is taken", "event.livemode in (None, moment.livemode)", "True", OTHERS),
    _work("another account is taken", "event.account is None and ", "", OTHERS),
    _work("pending, and nobody will ask", "    if decision.outcome is Outcome.PENDING:\n        yield from ask(",
          "    if False:\n        yield from ask(", SETTLED),
    _work("all that waited is applied", "its_outcome = Outcome.STALE if position else outcome", "its_outcome = outcome",
          SETTLED),
    _work("the question is never done", '    yield "ask_done", (reading.subscription_id,)\n    yield from write_ledger'
          "(moment)\n    return decision.outcome",
          "    yield from write_ledger(moment)\n    return decision.outcome", SETTLED),
    _work("what waited is not closed", "    for position, row in enumerate(waiting):",
          "    for position, row in enumerate(waiting[:1]):", SETTLED),
    _work("a 404 has no fence", "if held.known.evidence != reading.evidence_at_ask:", "if False:", FENCED),
    _work("grace from receipt", "_note_bill(known, event.bill)", "_note_bill(known, "
          "msgspec.structs.replace(event.bill, failed_at=event.bill.failed_at and int(moment.now)))", GRACE),
    Mutant("the last word on an invoice wins", "core/invoices.py", "max(both, key=_progress)", "heard", MERGED),
    Mutant("grace from the last failure", "core/invoices.py", "failed_at=min(", "failed_at=max(", GRACE),
    Mutant("cancel_at is ignored", "core/access.py", "if facts.cancel_at is not None and facts.cancel_at <= now:",
           "if False:", ACCESS),
    Mutant("grace never ends", "core/access.py", "if ends <= now:", "if False:", ACCESS),
    Mutant("grace ends a second late", "core/access.py", "if ends <= now:", "if ends < now:", ACCESS),
    Mutant("paused collection pays", "core/access.py", "if facts.collection_paused and", "if False and", ACCESS),
    Mutant("an unknown status grants", "core/access.py", "if facts is None or subscription.unknown_status is not None:",
           "if facts is None:", ACCESS),
    Mutant("an empty secret signs", "wire/events.py", "        if not secret:\n", "        if False:\n", SIGNED),
    Mutant("the future is accepted", "wire/events.py", "abs(now - int(timestamp))", "(now - int(timestamp))", SIGNED),
    Mutant("any signature will do", "wire/events.py", "if not matched:", "if False:", SIGNED),
    Mutant("the time is not signed", "wire/events.py", 'signed = timestamp + b"." + body',
           'signed = b"1780000000." + body', SIGNED),
    Mutant("the latest end counts", "wire/objects.py", "min(ends, default=None)", "max(ends, default=None)", VERSIONS),
    Mutant("cancel_at_period_end is ignored", "wire/objects.py",
           "if sub.cancel_at_period_end else None", "if False else None", VERSIONS),
    Mutant("acknowledged before COMMIT", "store/sqlite/store.py",
           'results = [_drive(connection, job.work()) for job in jobs]\n            connection.execute("COMMIT")',
           "results = [_drive(connection, job.work()) for job in jobs]", COMMITTED),
    Mutant("the row of an ended one is overwritten", "store/statements.sql",
           "\nWHERE subscription.state NOT IN ('canceled', 'incomplete_expired') "
           "OR subscription.state = excluded.state", "", ENDS),
    Mutant("the row of an ended one is changed", "store/statements.sql",
           " AND (state NOT IN ('canceled', 'incomplete_expired') OR state = $2)", "", ENDS),
    Mutant("a lease leases nothing", "store/statements.sql", "UPDATE ask SET lease_until = $2, attempts",
           "UPDATE ask SET lease_until = 0 * $2, attempts", SETTLED),
    Mutant("a question forgets what was heard", "flow/asker.py", "rows[0][0] if rows else 0, attempts", "0, attempts",
           SETTLED),
    Mutant("a sweep only looks", "flow/sweep.py", 'outcome = await self._truth.ask(subscription_id, "reconcile")',
           "outcome = Outcome.UNCHANGED", HEALED),
    Mutant("a late user is not linked", "units/owners.py", '    yield "event_link", (subscription_id,)\n', "", LEARNED),
)  # fmt: skip
