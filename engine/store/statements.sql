-- Every statement, by name, once for both databases.  {lock} and {claim} are row locks where rows can be locked.
-- {one_of} … {end} is IN.  For IN, PostgreSQL reads a whole table where it expects many; this way it looks each up by key.

-- name: event_seen
SELECT 1 FROM event WHERE event_id = $1

-- name: event_insert
INSERT INTO event (event_id, type, created, received_at, subscription_id, customer_id, outcome, payload)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: event_outcome
UPDATE event SET outcome = $2 WHERE event_id = $1

-- name: event_pending_of
SELECT event_id, type FROM event WHERE subscription_id = $1 AND outcome = 'pending' ORDER BY created DESC, received_at DESC, event_id DESC

-- name: event_link
UPDATE event SET outcome = 'applied' WHERE subscription_id = $1 AND outcome = 'unlinked'

-- name: event_forget_payloads
UPDATE event SET payload = NULL WHERE event_id {one_of}
    SELECT event_id FROM event WHERE payload IS NOT NULL AND received_at < $1 AND outcome NOT IN ('pending', 'failed')
    ORDER BY received_at LIMIT 500{end}
RETURNING 1

-- name: subscription_get
SELECT facts, as_of, evidence, since, unpaid_since, unknown_status, user_id FROM subscription WHERE subscription_id = $1 {lock}

-- name: subscription_start
INSERT INTO subscription (subscription_id, state, as_of, evidence, since) VALUES ($1, 'none', 0, 0, 0)
ON CONFLICT (subscription_id) DO NOTHING

-- name: subscription_put
INSERT INTO subscription (subscription_id, customer_id, user_id, state, as_of, evidence, since, unpaid_since, unknown_status, facts)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (subscription_id) DO UPDATE SET customer_id = excluded.customer_id, user_id = excluded.user_id,
    state = excluded.state, as_of = excluded.as_of, evidence = excluded.evidence, since = excluded.since,
    unpaid_since = excluded.unpaid_since, unknown_status = excluded.unknown_status, facts = excluded.facts
WHERE subscription.state NOT IN ('canceled', 'incomplete_expired') OR subscription.state = excluded.state

-- name: subscription_update
UPDATE subscription SET state = $2, as_of = $3, evidence = $4, since = $5, unpaid_since = $6, unknown_status = $7, facts = $8
WHERE subscription_id = $1 AND (state NOT IN ('canceled', 'incomplete_expired') OR state = $2)

-- name: subscription_of_user
SELECT subscription_id, facts, as_of, evidence, since, unpaid_since, unknown_status FROM subscription WHERE user_id = $1 ORDER BY subscription_id

-- name: subscription_of_customer
SELECT subscription_id, state FROM subscription WHERE customer_id = $1 ORDER BY subscription_id

-- name: subscription_living
SELECT subscription_id, facts, user_id FROM subscription
WHERE subscription_id > $1 AND state NOT IN ('canceled', 'incomplete_expired') ORDER BY subscription_id LIMIT $2

-- name: subscription_users_of_customer
SELECT DISTINCT user_id FROM subscription WHERE customer_id = $1

-- name: subscription_evidence
SELECT evidence FROM subscription WHERE subscription_id = $1

-- name: subscription_peek
SELECT facts, user_id FROM subscription WHERE subscription_id = $1

-- name: bill_get
SELECT subscription_id, created, status, attempt_count, failed_at, failure_code, finalized_at, next_attempt, hosted_url, heard_at
FROM bill WHERE invoice_id = $1

-- name: bill_put
INSERT INTO bill (invoice_id, subscription_id, created, status, attempt_count, failed_at, failure_code, finalized_at, next_attempt, hosted_url, heard_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (invoice_id) DO UPDATE SET status = excluded.status, attempt_count = excluded.attempt_count,
    failed_at = excluded.failed_at, failure_code = excluded.failure_code, finalized_at = excluded.finalized_at,
    next_attempt = excluded.next_attempt, hosted_url = excluded.hosted_url, heard_at = excluded.heard_at

-- name: bill_owed_since
SELECT min(CASE WHEN failed_at IS NOT NULL THEN failed_at WHEN attempt_count > 0 THEN finalized_at END)
FROM bill WHERE subscription_id = $1 AND status = 'open'
    AND created >= coalesce((SELECT max(created) FROM bill WHERE subscription_id = $1 AND status = 'paid'), 0)

-- name: customer_get
SELECT user_id, checkout_user_id, as_of, deleted FROM customer WHERE customer_id = $1 {lock}

-- name: customer_put
INSERT INTO customer (customer_id, user_id, checkout_user_id, as_of, deleted) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (customer_id) DO UPDATE SET user_id = excluded.user_id, checkout_user_id = excluded.checkout_user_id,
    as_of = excluded.as_of, deleted = excluded.deleted

-- name: customer_of_user
SELECT customer_id FROM customer WHERE (user_id = $1 OR (user_id IS NULL AND checkout_user_id = $1)) AND deleted = 0 ORDER BY customer_id

-- name: customer_ids_of_user
SELECT customer_id FROM customer WHERE user_id = $1 OR checkout_user_id = $1 ORDER BY customer_id

-- name: users_get
SELECT version, shown, shown_until, catalogue, updated_at, customer_id, customer_serial, checkout_serial, trial_used_at FROM users WHERE user_id = $1

-- name: users_ensure
INSERT INTO users (user_id) VALUES ($1) ON CONFLICT (user_id) DO NOTHING

-- name: users_lock
SELECT version, shown, shown_until, catalogue, updated_at, customer_id, customer_serial, checkout_serial, trial_used_at FROM users WHERE user_id = $1 {lock}

-- name: users_draw
SELECT u.version, u.shown, u.updated_at, u.customer_id, u.trial_used_at,
    s.subscription_id, s.facts, s.as_of, s.evidence, s.since, s.unpaid_since, s.unknown_status
FROM users u LEFT JOIN subscription s ON s.user_id = u.user_id WHERE u.user_id = $1

-- name: users_show
UPDATE users SET version = $2, shown = $3, shown_until = $4, catalogue = $5, updated_at = $6, customer_id = $7, trial_used_at = $8 WHERE user_id = $1

-- name: users_update
UPDATE users SET version = $2, shown = $3, shown_until = $4, catalogue = $5, updated_at = $6 WHERE user_id = $1

-- name: users_set_customer
UPDATE users SET customer_id = $2 WHERE user_id = $1

-- name: users_drop_customer
UPDATE users SET customer_id = NULL, customer_serial = customer_serial + 1 WHERE customer_id = $1 RETURNING user_id

-- name: users_next_checkout
UPDATE users SET checkout_serial = checkout_serial + 1 WHERE user_id = $1

-- name: users_due
SELECT user_id FROM users WHERE shown_until <= $1 ORDER BY shown_until LIMIT 100

-- name: decision_insert
INSERT INTO decision (at, event_id, event_type, source, user_id, subscription_id, fired, from_state, to_state, outcome, guard)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: decision_link
UPDATE decision SET user_id = $2 WHERE subscription_id = $1 AND user_id IS NULL

-- name: decision_page
SELECT seq, at, event_id, event_type, source, fired, from_state, to_state, outcome, guard FROM decision
WHERE user_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3

-- name: decision_way
SELECT subscription_id, from_state, to_state FROM decision
WHERE user_id = $1 AND outcome = 'applied' AND from_state IS NOT NULL ORDER BY seq DESC LIMIT 100

-- name: ask_put
INSERT INTO ask (subscription_id, due_at) VALUES ($1, $2)
ON CONFLICT (subscription_id) DO UPDATE SET due_at = CASE WHEN excluded.due_at < ask.due_at THEN excluded.due_at ELSE ask.due_at END

-- name: ask_claim
WITH due AS MATERIALIZED (
    SELECT subscription_id FROM ask WHERE CASE WHEN lease_until > due_at THEN lease_until ELSE due_at END <= $1
    ORDER BY CASE WHEN lease_until > due_at THEN lease_until ELSE due_at END LIMIT $3 {claim})
UPDATE ask SET lease_until = $2, attempts = attempts + 1 WHERE subscription_id {one_of}SELECT subscription_id FROM due{end}
RETURNING subscription_id, attempts

-- name: ask_next
SELECT (SELECT min(CASE WHEN lease_until > due_at THEN lease_until ELSE due_at END) FROM ask), (SELECT count(*) FROM ask)

-- name: ask_again
UPDATE ask SET due_at = $2, lease_until = 0 WHERE subscription_id = $1

-- name: ask_done
DELETE FROM ask WHERE subscription_id = $1

-- name: ask_free_leases
UPDATE ask SET lease_until = 0

-- name: checkout_open
SELECT session_id, intent, url, expires_at FROM checkout WHERE user_id = $1 AND status = 'open'

-- name: checkout_all_open
SELECT session_id FROM checkout WHERE status = 'open' ORDER BY session_id

-- name: checkout_put
INSERT INTO checkout (session_id, user_id, intent, url, expires_at, status) VALUES ($1, $2, $3, $4, $5, 'open')
ON CONFLICT (session_id) DO NOTHING

-- name: checkout_close
UPDATE checkout SET status = $2 WHERE session_id = $1 AND status = 'open' RETURNING user_id

-- name: memo_get
SELECT value FROM memo WHERE name = $1

-- name: memo_put
INSERT INTO memo (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value
