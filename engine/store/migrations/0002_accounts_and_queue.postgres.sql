-- Every key has its Stripe account ('' is our own), an applied decision keeps the facts that it led to, and one durable
-- queue takes the place of `ask`.  The times of `queue` are milliseconds.  A program of the step before that still runs
-- beside this one goes on reading; what it can no longer write it refuses, and Stripe sends it again.

ALTER TABLE bill DROP CONSTRAINT bill_subscription_id_fkey;
ALTER TABLE decision DROP CONSTRAINT decision_event_id_fkey;
ALTER TABLE checkout DROP CONSTRAINT checkout_user_id_fkey;

ALTER TABLE customer ADD COLUMN account text NOT NULL DEFAULT '', DROP CONSTRAINT customer_pkey;
ALTER TABLE customer ADD PRIMARY KEY (customer_id, account);
ALTER TABLE subscription ADD COLUMN account text NOT NULL DEFAULT '', DROP CONSTRAINT subscription_pkey;
ALTER TABLE subscription ADD PRIMARY KEY (subscription_id, account);
ALTER TABLE bill ADD COLUMN account text NOT NULL DEFAULT '', DROP CONSTRAINT bill_pkey;
ALTER TABLE bill ADD PRIMARY KEY (invoice_id, account);
ALTER TABLE users ADD COLUMN account text NOT NULL DEFAULT '', DROP CONSTRAINT users_pkey;
ALTER TABLE users ADD PRIMARY KEY (user_id, account);
ALTER TABLE event ADD COLUMN account text NOT NULL DEFAULT '', DROP CONSTRAINT event_pkey;
ALTER TABLE event ADD PRIMARY KEY (event_id, account);
ALTER TABLE checkout ADD COLUMN account text NOT NULL DEFAULT '', DROP CONSTRAINT checkout_pkey;
ALTER TABLE checkout ADD PRIMARY KEY (session_id, account);
ALTER TABLE decision
    ADD COLUMN account text NOT NULL DEFAULT '',
    ADD COLUMN facts bytea,
    ADD COLUMN changed text,
    ADD COLUMN actor text,
    ADD COLUMN why text,
    DROP CONSTRAINT decision_source_check,
    ADD CONSTRAINT decision_source_check CHECK (source IN ('webhook', 'reconcile', 'checkout', 'operator', 'api', 'clock'));
COMMENT ON COLUMN decision.facts IS 'what an applied decision led to: core.states.Facts as JSON';
COMMENT ON COLUMN decision.changed IS 'which of the facts differ from those before, by name, with commas';
COMMENT ON COLUMN decision.actor IS 'who asked for it, where somebody did';
COMMENT ON COLUMN decision.why IS 'and what for';

ALTER TABLE bill ADD CONSTRAINT bill_subscription_id_fkey
    FOREIGN KEY (subscription_id, account) REFERENCES subscription (subscription_id, account);
ALTER TABLE decision ADD CONSTRAINT decision_event_id_fkey
    FOREIGN KEY (event_id, account) REFERENCES event (event_id, account);
ALTER TABLE checkout ADD CONSTRAINT checkout_user_id_fkey
    FOREIGN KEY (user_id, account) REFERENCES users (user_id, account);
DROP INDEX decision_applied_once;
DROP INDEX checkout_one_open;
CREATE UNIQUE INDEX decision_applied_once ON decision (event_id, account) WHERE outcome = 'applied';
CREATE UNIQUE INDEX checkout_one_open ON checkout (user_id, account) WHERE status = 'open';

CREATE TABLE queue (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,                -- what is to be done: question, and later hook, usage, timer
    key text NOT NULL,                 -- what it is about; of those with the same kind and key, the oldest is done first
    name text NOT NULL DEFAULT '',     -- tells apart what is about the same key; the same name twice is one entry
    account text NOT NULL DEFAULT '',
    payload bytea,
    due_at bigint NOT NULL,
    lease_until bigint NOT NULL DEFAULT 0,
    attempts bigint NOT NULL DEFAULT 0,
    last_error text,
    dead text                          -- why it was given up; it stays here to be looked at
);
CREATE UNIQUE INDEX queue_one ON queue (key, kind, name, account);
CREATE INDEX queue_by_due ON queue (kind, (CASE WHEN lease_until > due_at THEN lease_until ELSE due_at END))
    WHERE dead IS NULL;
INSERT INTO queue (kind, key, due_at, lease_until, attempts)
SELECT 'question', subscription_id, due_at, lease_until, attempts FROM ask;
DROP TABLE ask;
