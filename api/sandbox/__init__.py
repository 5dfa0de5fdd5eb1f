"""The sandbox: a stand-in Stripe for work without a network, for CI, and for the day before one has an account.

It is one fake, as truthful as Stripe's schemas and what we know of Stripe make it, and it knows nothing
of the engine: neither imports the other, so the one can be measured against the other.

How it is built
    core/       what every object needs: the ledger of objects, parameters, errors, shapes, cards, periods, rules
    objects/    Stripe's resources, one file each, with their rules; what time does to them is in lifecycle.py
    people/     what a person clicks: the checkout page, the portal, the hosted invoice page
    http/       the only part with I/O: Stripe's API, the pages, the panel, faults, deliveries, the file
    routes.py   every route and every rule of time, collected from objects/
    operations.py  one operation at a time, its events, and the passing of time
    world.py    `World`, with all of that: a request in, an answer and events out
    catalogue.py   the plans that a new world sells
    Imports go from http to people to objects to core only. `World` is pure: no clock,
    no I/O; the same seed and calls give the same ids, events and times. `RunningWorld` runs one on a
    `SandboxClock`, delivers over HTTP and keeps it all in one file; `create_sandbox` is the Litestar
    application around that. Which parameters an endpoint takes is read from the annotations of the pinned
    `stripe` package. To know it, read world.py, core/ledger.py, objects/lifecycle.py, objects/collection.py.

A new resource is one file
    objects/things.py has `create_thing(w, p)`, other handlers as `close_thing(w, p, id_)`, and at its end
        THINGS = Resource("thing", "things", create_thing, settable=("name",), filters=("status",), …)
        ROUTES = THINGS.routes(("POST", "things/*/close", "thing_close", close_thing))
        RULES = {"thing": (Rule("thing expires", one("open"), when, act),)}     # if time does anything to it
    and that is found by itself. `Resource` gets, lists, updates and deletes; see core/resource.py.
    world.py's docstring says what a handler may use. `w.new` has every field of the SDK's class, null where
    it is optional: what is left out instead stands in core/blanks.py. If it can be expanded, `shapes.NAMES`
    says which field holds its id. Parameters that are refused as unknown to the sandbox stand in
    `params.NOT_HERE`: take out what you add. tests/sandbox checks each answer and event against Stripe's
    schemas and the SDK's annotations, calls each route through the SDK (test_live.py), and fuzzes them all.

What is there
    - Objects in the shape of 2026-10-28.endive; a webhook endpoint, or a request's `Stripe-Version`, of
      a version before 2025-03-31.basil gets the older shape (period on the subscription,
      `invoice.subscription`, `invoice.payment_intent`, `invoice.charge`, `discount.coupon`).
    - Form-encoded requests, pages, `expand[]`, idempotency keys (answers kept a day, a decline or a 500 too),
      error objects, lengths, `Request-Id`, `Date` by the sandbox's clock. Any key `sk_test_…` or `rk_test_…`; each
      permission can be taken from restricted keys. `GET /v1/account`.
    - Customers, products, prices, coupons, promotion codes, payment methods, the test cards and test bank
      accounts (`pm_usBankAccount_…`, which end after four days), setup and payment intents, charges,
      subscriptions and their items, invoices, invoice items and payments, Checkout in subscription and setup
      mode, the customer portal, events, webhook endpoints, test clocks, meters.
    - The lifecycle: trials and their ends, 23 h for the first payment, drafts for an hour, eight retries
      within two weeks and what the account does then, hard declines, pause and resume, planned ends,
      unpaid cycles, sent invoices, discounts.
    - Usage: meters, events with the day of their identifiers, lag as a setting, summaries, adjustments; tiers
      (a graduated price is one line, where Stripe makes one a tier) and packages; v2 with its stream and thin events.
    - Changes: prorations by exact fractions, floored line by line, as either billing mode has them; previews by
      the code of the change itself; changes that wait for their payment; the customer's balance; schedules.
    - Deliveries signed at each try, one `v1` for each active secret. Tried again after
      `RETRY_AFTER` (a second at first, for three days in all), a 3xx too. Mischief by a seed: duplicate,
      reorder, delay, drop, twin (a second Event object for one change).
    - `/_sandbox`, a page that documents its routes: the pages' JSON, the clock (which a service beside it can
      follow), how the next payment goes, mischief, account settings, deliveries, calls, and faults for the API.

What Stripe has beyond that is not there
    Checkout in payment mode; quotes, plans, credit grants taken off an invoice (they are only kept), payment links,
    credit notes, refunds, disputes, the account's balance, tax, Connect, thin
    events but those of meters, entitlements, search, several currencies of a price, SEPA
    and all else that is neither a card nor a US bank account, `invoice.upcoming`, itemized proration
    discounts, pause schedules, `billing_cycle_anchor_config`, `backdate_start_date`, thresholds, e-mail.
    A request that asks for such is refused with the parameter's name (`params.NOT_HERE`). `add_invoice_items`
    takes prices only. A `billing_cycle_anchor` does not prorate the first period.
    An endpoint that fails on `invoice.created` does not delay the invoice. Mixed intervals renew item by
    item, which Stripe may group otherwise. A coupon for some months ends by months of 30.44 days.

Uncertain, since we have no recording of the real Stripe: DELETE of an incomplete subscription leaves
`canceled`; a natural trial end without a card is `active` for the hour of the draft, then `past_due`; a
subscription paused for failed payments keeps its invoice open, and paying that resumes it where the account's
`auto_resume` is on; a bank debit ends after exactly four days; the order of events within one second. Of changes: the
words for a `proration_date` outside the period, and for what a pending update or a managed subscription does not take
beside cancellation fields; another interval without a new anchor in flexible mode (here the item's period is the one
around now, counted from the anchor); which items a schedule's phase keeps (here those of the same price, then in
order); that a deleted subscription's schedule is `canceled`. Of usage: that a time out of bounds is refused at once.

Serve it with `date_header=False` in uvicorn, or its own Date stands beside the sandbox's.
"""

from interlock.api.sandbox.http.app import create_sandbox
from interlock.api.sandbox.http.carrier import RunningWorld
from interlock.api.sandbox.http.clock import SandboxClock
from interlock.api.sandbox.world import World, WorldAnswer

__all__ = ["RunningWorld", "SandboxClock", "World", "WorldAnswer", "create_sandbox"]
