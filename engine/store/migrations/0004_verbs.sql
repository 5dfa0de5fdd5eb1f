-- What verbs need: whose turn it is, and which keys callers have used.  Times of `turn` are milliseconds.

CREATE TABLE turn (
    account text NOT NULL,
    user_id text NOT NULL,
    lease_until {int} NOT NULL,
    PRIMARY KEY (account, user_id)
) {strict};

CREATE TABLE verb_key (
    account text NOT NULL,
    user_id text NOT NULL,
    verb_key text NOT NULL,            -- the caller's Idempotency-Key
    said text NOT NULL,                -- digest of the verb and its body
    at {int} NOT NULL,
    PRIMARY KEY (account, user_id, verb_key)
) {strict};
CREATE INDEX verb_key_by_age ON verb_key (at);
