-- Every key has its Stripe account ('' is our own), an applied decision keeps the facts that it led to, and one durable
-- queue takes the place of `ask`.  SQLite can't change a key in place: each table is written anew, and takes the old one's
-- name when all are there.  The times of `queue` are milliseconds.

PRAGMA defer_foreign_keys = ON;

CREATE TABLE customer_2 (
    customer_id text NOT NULL,
    account text NOT NULL DEFAULT '',
    user_id text,                      -- metadata.user_id of the customer
    checkout_user_id text,             -- whom a checkout made it for
    as_of integer NOT NULL,
    deleted integer NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
    PRIMARY KEY (customer_id, account)
) STRICT;
INSERT INTO customer_2 (customer_id, user_id, checkout_user_id, as_of, deleted)
SELECT customer_id, user_id, checkout_user_id, as_of, deleted FROM customer;

CREATE TABLE subscription_2 (
    subscription_id text NOT NULL,
    account text NOT NULL DEFAULT '',
    customer_id text,
    user_id text,
    state text NOT NULL CHECK (
        state = 'active' OR state = 'trialing' OR state = 'past_due' OR state = 'canceled' OR state = 'none' OR
        state = 'incomplete' OR state = 'incomplete_expired' OR state = 'unpaid' OR state = 'paused'),
    as_of integer NOT NULL,
    evidence integer NOT NULL CHECK (evidence >= 0),
    since integer NOT NULL,
    unpaid_since integer,
    unknown_status text,
    facts blob,                        -- core.states.Facts as JSON
    PRIMARY KEY (subscription_id, account),
    CHECK ((state = 'none') = (facts IS NULL))
) STRICT;
INSERT INTO subscription_2
    (subscription_id, customer_id, user_id, state, as_of, evidence, since, unpaid_since, unknown_status, facts)
SELECT subscription_id, customer_id, user_id, state, as_of, evidence, since, unpaid_since, unknown_status, facts
FROM subscription;

CREATE TABLE bill_2 (
    invoice_id text NOT NULL,
    account text NOT NULL DEFAULT '',
    subscription_id text NOT NULL,
    created integer NOT NULL,
    status text NOT NULL,
    attempt_count integer NOT NULL CHECK (attempt_count >= 0),
    failed_at integer,
    failure_code text,
    finalized_at integer,
    next_attempt integer,
    hosted_url text,
    heard_at integer NOT NULL,
    PRIMARY KEY (invoice_id, account),
    FOREIGN KEY (subscription_id, account) REFERENCES subscription_2 (subscription_id, account)
) STRICT;
INSERT INTO bill_2 (invoice_id, subscription_id, created, status, attempt_count, failed_at, failure_code, finalized_at,
    next_attempt, hosted_url, heard_at)
SELECT invoice_id, subscription_id, created, status, attempt_count, failed_at, failure_code, finalized_at,
    next_attempt, hosted_url, heard_at FROM bill;

CREATE TABLE users_2 (
    user_id text NOT NULL,
    account text NOT NULL DEFAULT '',
    customer_id text,                  -- the one that checkout and portal use
    customer_serial integer NOT NULL DEFAULT 0,  -- rises when a customer was deleted in Stripe: another is made
    checkout_serial integer NOT NULL DEFAULT 0,  -- rises when a checkout ends: the next is another intent
    trial_used_at integer,
    version integer NOT NULL DEFAULT 0 CHECK (version >= 0),
    shown blob,                        -- the JSON that the user reads
    shown_until integer,               -- when the clock alone changes it
    catalogue text,                    -- digest of the plan catalogue that it was drawn with
    updated_at integer NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, account)
) STRICT;
INSERT INTO users_2 (user_id, customer_id, customer_serial, checkout_serial, trial_used_at, version, shown, shown_until,
    catalogue, updated_at)
SELECT user_id, customer_id, customer_serial, checkout_serial, trial_used_at, version, shown, shown_until,
    catalogue, updated_at FROM users;

CREATE TABLE event_2 (
    event_id text NOT NULL,
    account text NOT NULL DEFAULT '',
    type text NOT NULL,
    created integer NOT NULL,
    received_at integer NOT NULL,
    subscription_id text,
    customer_id text,
    outcome text NOT NULL CHECK (
        outcome = 'applied' OR outcome = 'unchanged' OR outcome = 'pending' OR outcome = 'stale' OR
        outcome = 'ignored' OR outcome = 'refused' OR outcome = 'unlinked' OR outcome = 'failed'),
    payload blob,                      -- the body as it came, zlib; null once its retention is over
    PRIMARY KEY (event_id, account)
) STRICT;
INSERT INTO event_2 (event_id, type, created, received_at, subscription_id, customer_id, outcome, payload)
SELECT event_id, type, created, received_at, subscription_id, customer_id, outcome, payload FROM event;

CREATE TABLE decision_2 (
    seq integer PRIMARY KEY,
    account text NOT NULL DEFAULT '',
    at integer NOT NULL,
    event_id text,
    event_type text,
    source text NOT NULL CHECK (
        source = 'webhook' OR source = 'reconcile' OR source = 'checkout' OR source = 'operator' OR source = 'api' OR
        source = 'clock'),
    user_id text,
    subscription_id text,
    fired text,
    from_state text,
    to_state text,
    outcome text NOT NULL,
    guard text,
    facts blob,                        -- what an applied decision led to: core.states.Facts as JSON
    changed text,                      -- which of the facts that differ from those before, by name, with commas
    actor text,                        -- who asked for it, where somebody did
    why text,                          -- and what for
    FOREIGN KEY (event_id, account) REFERENCES event_2 (event_id, account)
) STRICT;
INSERT INTO decision_2 (seq, at, event_id, event_type, source, user_id, subscription_id, fired, from_state, to_state,
    outcome, guard)
SELECT seq, at, event_id, event_type, source, user_id, subscription_id, fired, from_state, to_state, outcome, guard
FROM decision;

CREATE TABLE checkout_2 (
    session_id text NOT NULL,
    account text NOT NULL DEFAULT '',
    user_id text NOT NULL,
    intent text NOT NULL,              -- what was asked for: plan, quantity, promotion code
    url text NOT NULL,
    expires_at integer NOT NULL,
    status text NOT NULL CHECK (status IN ('open', 'complete', 'expired')),
    PRIMARY KEY (session_id, account),
    FOREIGN KEY (user_id, account) REFERENCES users_2 (user_id, account)
) STRICT;
INSERT INTO checkout_2 (session_id, user_id, intent, url, expires_at, status)
SELECT session_id, user_id, intent, url, expires_at, status FROM checkout;

CREATE TABLE queue (
    seq integer PRIMARY KEY,
    kind text NOT NULL,                -- what is to be done: question, and later hook, usage, timer
    key text NOT NULL,                 -- what it is about; of those with the same kind and key, the oldest is done first
    name text NOT NULL DEFAULT '',     -- tells apart what is about the same key; the same name twice is one entry
    account text NOT NULL DEFAULT '',
    payload blob,
    due_at integer NOT NULL,
    lease_until integer NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    dead text                          -- why it was given up; it stays here to be looked at
) STRICT;
CREATE UNIQUE INDEX queue_one ON queue (key, kind, name, account);
CREATE INDEX queue_by_due ON queue (kind, (CASE WHEN lease_until > due_at THEN lease_until ELSE due_at END))
    WHERE dead IS NULL;
INSERT INTO queue (kind, key, due_at, lease_until, attempts)
SELECT 'question', subscription_id, due_at, lease_until, attempts FROM ask;

DROP TABLE ask;
DROP TABLE checkout;
DROP TABLE decision;
DROP TABLE bill;
DROP TABLE event;
DROP TABLE users;
DROP TABLE subscription;
DROP TABLE customer;
ALTER TABLE customer_2 RENAME TO customer;
ALTER TABLE subscription_2 RENAME TO subscription;
ALTER TABLE users_2 RENAME TO users;
ALTER TABLE event_2 RENAME TO event;
ALTER TABLE bill_2 RENAME TO bill;
ALTER TABLE decision_2 RENAME TO decision;
ALTER TABLE checkout_2 RENAME TO checkout;

CREATE INDEX customer_by_user ON customer (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX customer_by_checkout_user ON customer (checkout_user_id) WHERE checkout_user_id IS NOT NULL;
CREATE INDEX subscription_by_user ON subscription (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX subscription_by_customer ON subscription (customer_id);
CREATE INDEX bill_of_subscription ON bill (subscription_id, status, created);
CREATE INDEX users_by_customer ON users (customer_id) WHERE customer_id IS NOT NULL;
CREATE INDEX users_by_clock ON users (shown_until) WHERE shown_until IS NOT NULL;
CREATE INDEX event_pending ON event (subscription_id) WHERE outcome = 'pending';
CREATE INDEX event_unlinked ON event (subscription_id) WHERE outcome = 'unlinked';
CREATE INDEX event_by_age ON event (received_at) WHERE payload IS NOT NULL;
CREATE INDEX decision_by_user ON decision (user_id, seq);
CREATE INDEX decision_unlinked ON decision (subscription_id) WHERE user_id IS NULL;
CREATE UNIQUE INDEX decision_applied_once ON decision (event_id, account) WHERE outcome = 'applied';
CREATE UNIQUE INDEX checkout_one_open ON checkout (user_id, account) WHERE status = 'open';
