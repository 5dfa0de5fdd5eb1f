-- The first schema.  {int}, {blob}, {serial} and {strict} are the few words in which the two databases differ.
-- Times are whole seconds since 1970 in UTC; those of `ask` are milliseconds.  What each webhook writes is checked by
-- OR: for IN, SQLite builds a table of the list at each statement.

CREATE TABLE customer (
    customer_id text PRIMARY KEY,
    user_id text,                      -- metadata.user_id of the customer
    checkout_user_id text,             -- whom a checkout made it for
    as_of {int} NOT NULL,
    deleted {int} NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1))
) {strict};
CREATE INDEX customer_by_user ON customer (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX customer_by_checkout_user ON customer (checkout_user_id) WHERE checkout_user_id IS NOT NULL;

CREATE TABLE subscription (
    subscription_id text PRIMARY KEY,
    customer_id text,
    user_id text,
    state text NOT NULL CHECK (
        state = 'active' OR state = 'trialing' OR state = 'past_due' OR state = 'canceled' OR state = 'none' OR
        state = 'incomplete' OR state = 'incomplete_expired' OR state = 'unpaid' OR state = 'paused'),
    as_of {int} NOT NULL,
    evidence {int} NOT NULL CHECK (evidence >= 0),
    since {int} NOT NULL,
    unpaid_since {int},
    unknown_status text,
    facts {blob},                      -- engine.states.Facts as JSON
    CHECK ((state = 'none') = (facts IS NULL))
) {strict};
CREATE INDEX subscription_by_user ON subscription (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX subscription_by_customer ON subscription (customer_id);

CREATE TABLE bill (
    invoice_id text PRIMARY KEY,
    subscription_id text NOT NULL REFERENCES subscription,
    created {int} NOT NULL,
    status text NOT NULL,
    attempt_count {int} NOT NULL CHECK (attempt_count >= 0),
    failed_at {int},
    failure_code text,
    finalized_at {int},
    next_attempt {int},
    hosted_url text,
    heard_at {int} NOT NULL
) {strict};
CREATE INDEX bill_of_subscription ON bill (subscription_id, status, created);

CREATE TABLE users (
    user_id text PRIMARY KEY,
    customer_id text,                  -- the one that checkout and portal use
    customer_serial {int} NOT NULL DEFAULT 0,  -- rises when a customer was deleted in Stripe: another is made
    checkout_serial {int} NOT NULL DEFAULT 0,  -- rises when a checkout ends: the next is another intent
    trial_used_at {int},
    version {int} NOT NULL DEFAULT 0 CHECK (version >= 0),
    shown {blob},                      -- the JSON that the user reads
    shown_until {int},                 -- when the clock alone changes it
    catalogue text,                    -- digest of the plan catalogue that it was drawn with
    updated_at {int} NOT NULL DEFAULT 0
) {strict};
CREATE INDEX users_by_customer ON users (customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX users_by_clock ON users (shown_until) WHERE shown_until IS NOT NULL;

CREATE TABLE event (
    event_id text PRIMARY KEY,
    type text NOT NULL,
    created {int} NOT NULL,
    received_at {int} NOT NULL,
    subscription_id text,
    customer_id text,
    outcome text NOT NULL CHECK (
        outcome = 'applied' OR outcome = 'unchanged' OR outcome = 'pending' OR outcome = 'stale' OR
        outcome = 'ignored' OR outcome = 'refused' OR outcome = 'unlinked' OR outcome = 'failed'),
    payload {blob}                     -- the body as it came, zlib; null once its retention is over
) {strict};
CREATE INDEX event_pending ON event (subscription_id) WHERE outcome = 'pending';
CREATE INDEX event_unlinked ON event (subscription_id) WHERE outcome = 'unlinked';
CREATE INDEX event_by_age ON event (received_at) WHERE payload IS NOT NULL;

CREATE TABLE decision (
    seq {serial},
    at {int} NOT NULL,
    event_id text REFERENCES event,
    event_type text,
    source text NOT NULL CHECK (
        source = 'webhook' OR source = 'reconcile' OR source = 'checkout' OR source = 'operator'),
    user_id text,
    subscription_id text,
    fired text,
    from_state text,
    to_state text,
    outcome text NOT NULL,
    guard text
) {strict};
CREATE INDEX decision_by_user ON decision (user_id, seq);
CREATE INDEX decision_unlinked ON decision (subscription_id) WHERE user_id IS NULL;
CREATE UNIQUE INDEX decision_applied_once ON decision (event_id) WHERE outcome = 'applied';

CREATE TABLE ask (
    subscription_id text PRIMARY KEY,
    due_at {int} NOT NULL,
    lease_until {int} NOT NULL DEFAULT 0,
    attempts {int} NOT NULL DEFAULT 0
) {strict};
CREATE INDEX ask_by_due ON ask ((CASE WHEN lease_until > due_at THEN lease_until ELSE due_at END));

CREATE TABLE checkout (
    session_id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users,
    intent text NOT NULL,              -- what was asked for: plan, quantity, promotion code
    url text NOT NULL,
    expires_at {int} NOT NULL,
    status text NOT NULL CHECK (status IN ('open', 'complete', 'expired'))
) {strict};
CREATE UNIQUE INDEX checkout_one_open ON checkout (user_id) WHERE status = 'open';

CREATE TABLE memo (
    name text PRIMARY KEY,
    value text NOT NULL
) {strict};
