-- What users use, what is set aside for them, and what Stripe's meters are to be told of it.  `account` is the Stripe
-- account, '' is our own.

CREATE TABLE usage_counter (
    user_id text NOT NULL,
    account text NOT NULL DEFAULT '',
    feature text NOT NULL,
    window_start {int} NOT NULL,       -- 0: the window that never ends
    used {int} NOT NULL CHECK (used >= 0),
    reserved {int} NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    holds_until {int} NOT NULL DEFAULT 0,  -- when the first of the holds ends, 0 where there is none
    alerted {int} NOT NULL DEFAULT 0,  -- the highest share of the limit that was told, in thousandths
    alert_limit {int} NOT NULL DEFAULT -1,
    PRIMARY KEY (user_id, feature, window_start, account)
) {strict};

CREATE TABLE usage_seen (
    user_id text NOT NULL,
    account text NOT NULL DEFAULT '',
    feature text NOT NULL,
    id text NOT NULL,                  -- the caller's own; forgotten after 35 days
    at {int} NOT NULL,
    answer {blob} NOT NULL,            -- the first answer, given again to who asks again
    PRIMARY KEY (user_id, feature, id, account)
) {strict};
CREATE INDEX usage_seen_by_age ON usage_seen (at);

CREATE TABLE usage_hold (
    hold_id text NOT NULL,
    account text NOT NULL DEFAULT '',
    user_id text NOT NULL,
    feature text NOT NULL,
    window_start {int} NOT NULL,
    amount {int} NOT NULL CHECK (amount > 0),
    at {int} NOT NULL,
    expires_at {int} NOT NULL,
    answer {blob},                     -- that of its settlement; null while it is open
    PRIMARY KEY (hold_id, account)
) {strict};
CREATE INDEX usage_hold_open ON usage_hold (user_id, feature, window_start, expires_at) WHERE answer IS NULL;
CREATE INDEX usage_hold_by_age ON usage_hold (at);

CREATE TABLE meter_minute (
    customer_id text NOT NULL,
    account text NOT NULL DEFAULT '',
    event_name text NOT NULL,
    minute {int} NOT NULL,             -- its first second
    value {int} NOT NULL,
    PRIMARY KEY (customer_id, event_name, minute, account)
) {strict};
CREATE INDEX meter_minute_by_time ON meter_minute (minute);

CREATE TABLE meter_event (
    identifier text NOT NULL,          -- Stripe's, one for ever
    account text NOT NULL DEFAULT '',
    customer_id text NOT NULL,
    event_name text NOT NULL,
    minute {int} NOT NULL,
    value {int} NOT NULL,
    state text NOT NULL CHECK (state = 'waiting' OR state = 'delivered' OR state = 'dead'),
    first_sent_at {int},               -- when it was first given to Stripe; null: never
    settled_at {int},                  -- when it was delivered or given up
    late {int} NOT NULL DEFAULT 0 CHECK (late IN (0, 1)),
    why text,
    PRIMARY KEY (identifier, account)
) {strict};
CREATE INDEX meter_event_open ON meter_event (minute, identifier) WHERE state = 'waiting';
CREATE INDEX meter_event_dead ON meter_event (settled_at) WHERE state = 'dead';
CREATE INDEX meter_event_delivered ON meter_event (settled_at) WHERE state = 'delivered';
CREATE INDEX meter_event_of_customer ON meter_event (customer_id, event_name, minute);

ALTER TABLE users ADD COLUMN supplies {blob};  -- core.features.Supply of each thing held, as JSON
