-- Every statement, once for both databases.  What a header may say is told in `statements.py`.

-- name: event_seen^
-- Whether an event is stored already.
-- about: event :event_id
-- reads: event
SELECT 1 FROM event WHERE event_id = :event_id AND account = :account

-- name: event_insert!
-- Store an event with its outcome.
-- about: event :event_id
-- writes: event, one row
INSERT INTO event (event_id, account, type, created, received_at, subscription_id, customer_id, outcome, payload)
VALUES (:event_id, :account, :type, :created, :received_at, :subscription_id, :customer_id, :outcome, :payload)

-- name: event_outcome!
-- Set what came of an event that waited.
-- about: event :event_id
-- writes: event, one row
UPDATE event SET outcome = :outcome WHERE event_id = :event_id

-- name: event_pending_of
-- The events that wait for Stripe's answer about a subscription, the newest first.
-- about: subscription :subscription_id
-- reads: event
SELECT event_id, type FROM event WHERE subscription_id = :subscription_id AND outcome = 'pending'
ORDER BY created DESC, received_at DESC, event_id DESC

-- name: event_link!
-- The user of a subscription became known: its events that had none are applied.
-- about: subscription :subscription_id
-- writes: event
UPDATE event SET outcome = 'applied' WHERE subscription_id = :subscription_id AND outcome = 'unlinked'

-- name: event_forget_payloads
-- Drop the oldest payloads, at most 500, that were received before a time; one row for each.
-- writes: event
UPDATE event SET payload = NULL WHERE event_id IN /*keys*/ (
    SELECT event_id FROM event WHERE payload IS NOT NULL AND received_at < :before AND outcome NOT IN ('pending', 'failed')
    ORDER BY received_at LIMIT 500 /*keys*/ )
RETURNING 1

-- name: subscription_get^
-- One subscription, its row locked.
-- about: subscription :subscription_id
-- reads: subscription
SELECT subscription_id, facts, as_of, evidence, since, unpaid_since, unknown_status, billing, missing_since, user_id,
    unknown_prices FROM subscription
WHERE subscription_id = :subscription_id /*lock*/

-- name: subscription_start!
-- Make the empty row of a subscription that was never seen, so that it can be locked.
-- about: subscription :subscription_id
-- writes: subscription, one row
INSERT INTO subscription (subscription_id, state, as_of, evidence, since) VALUES (:subscription_id, 'none', 0, 0, 0)
ON CONFLICT (subscription_id, account) DO NOTHING

-- name: subscription_put!
-- Write the whole row of a subscription.  The row of an ended one keeps its state, whatever is said.
-- about: subscription :subscription_id
-- writes: subscription, one row
INSERT INTO subscription (subscription_id, customer_id, user_id, state, as_of, evidence, since, unpaid_since, unknown_status, facts,
    billing, missing_since, check_at, unknown_prices)
VALUES (:subscription_id, :customer_id, :user_id, :state, :as_of, :evidence, :since, :unpaid_since, :unknown_status, :facts,
    :billing, :missing_since, :check_at, :unknown_prices)
ON CONFLICT (subscription_id, account) DO UPDATE SET customer_id = excluded.customer_id, user_id = excluded.user_id,
    state = excluded.state, as_of = excluded.as_of, evidence = excluded.evidence, since = excluded.since,
    unpaid_since = excluded.unpaid_since, unknown_status = excluded.unknown_status, facts = excluded.facts,
    billing = excluded.billing, missing_since = excluded.missing_since, check_at = excluded.check_at,
    unknown_prices = excluded.unknown_prices
WHERE subscription.state NOT IN ('canceled', 'incomplete_expired') OR subscription.state = excluded.state

-- name: subscription_update!
-- The same where customer and user stay as they are: no index is touched.
-- about: subscription :subscription_id
-- writes: subscription, one row
UPDATE subscription SET state = :state, as_of = :as_of, evidence = :evidence, since = :since, unpaid_since = :unpaid_since,
    unknown_status = :unknown_status, facts = :facts, billing = :billing, missing_since = :missing_since,
    check_at = :check_at, unknown_prices = :unknown_prices
WHERE subscription_id = :subscription_id AND (state NOT IN ('canceled', 'incomplete_expired') OR state = :state)

-- name: subscription_of_user
-- All subscriptions of a user.
-- about: user :user_id
-- reads: subscription
SELECT subscription_id, facts, as_of, evidence, since, unpaid_since, unknown_status, billing, missing_since FROM subscription
WHERE user_id = :user_id ORDER BY subscription_id

-- name: subscription_of_customer
-- The ids of all subscriptions of a customer.
-- about: customer :customer_id
-- reads: subscription
SELECT subscription_id FROM subscription WHERE customer_id = :customer_id ORDER BY subscription_id

-- name: subscription_living
-- A page of the subscriptions that have not ended, by id.
-- reads: subscription
SELECT subscription_id FROM subscription
WHERE subscription_id > :after AND state NOT IN ('canceled', 'incomplete_expired') ORDER BY subscription_id LIMIT :limit

-- name: subscription_users_of_customer
-- The users who hold the subscriptions of a customer; null for those that nobody holds.
-- about: customer :customer_id
-- reads: subscription
SELECT DISTINCT user_id FROM subscription WHERE customer_id = :customer_id

-- name: subscription_evidence^
-- A subscription's count of evidence, not locked.
-- about: subscription :subscription_id
-- reads: subscription
SELECT evidence FROM subscription WHERE subscription_id = :subscription_id

-- name: subscription_peek^
-- What is known of a subscription and whose it is, not locked.
-- about: subscription :subscription_id
-- reads: subscription
SELECT facts, user_id FROM subscription WHERE subscription_id = :subscription_id

-- name: bill_get^
-- One invoice.
-- about: invoice :invoice_id
-- reads: bill
SELECT invoice_id, subscription_id, created, status, attempt_count, failed_at, failure_code, failure_attempt, finalized_at,
    next_attempt, hosted_url, period_end, is_first, heard_at
FROM bill WHERE invoice_id = :invoice_id

-- name: bill_put!
-- Write one invoice.
-- about: invoice :invoice_id
-- writes: bill, one row
INSERT INTO bill (invoice_id, subscription_id, created, status, attempt_count, failed_at, failure_code, failure_attempt, finalized_at,
    next_attempt, hosted_url, period_end, is_first, heard_at)
VALUES (:invoice_id, :subscription_id, :created, :status, :attempt_count, :failed_at, :failure_code, :failure_attempt, :finalized_at,
    :next_attempt, :hosted_url, :period_end, :is_first, :reported_at)
ON CONFLICT (invoice_id, account) DO UPDATE SET status = excluded.status, attempt_count = excluded.attempt_count,
    failed_at = excluded.failed_at, failure_code = excluded.failure_code, failure_attempt = excluded.failure_attempt,
    finalized_at = excluded.finalized_at, next_attempt = excluded.next_attempt, hosted_url = excluded.hosted_url,
    period_end = excluded.period_end, is_first = excluded.is_first, heard_at = excluded.heard_at

-- name: bill_of_subscription
-- The newest invoices of a subscription.
-- about: subscription :subscription_id
-- reads: bill
SELECT invoice_id, subscription_id, created, status, attempt_count, failed_at, failure_code, failure_attempt, finalized_at,
    next_attempt, hosted_url, period_end, is_first, heard_at
FROM bill WHERE subscription_id = :subscription_id ORDER BY created DESC LIMIT 24

-- name: subscription_to_check
-- Subscriptions of which a date has passed that must have brought a change.
-- reads: subscription
SELECT subscription_id FROM subscription WHERE check_at <= :now ORDER BY check_at LIMIT 100

-- name: subscription_unknown
-- A page of the living subscriptions that hold a price that no plan sells or sold, by id.
-- reads: subscription
SELECT subscription_id, unknown_prices FROM subscription
WHERE unknown_prices IS NOT NULL AND subscription_id > :after ORDER BY subscription_id LIMIT 1000

-- name: price_get^
-- Which plan a price belongs to; null where no catalogue ever sold it.
-- reads: price
SELECT price_id, plan_key FROM price WHERE price_id = :price_id

-- name: price_put!
-- Remember which plan a price belongs to.
-- writes: price
INSERT INTO price (price_id, plan_key, seen_at) VALUES (:price_id, :plan_key, :seen_at)
ON CONFLICT (price_id) DO UPDATE SET plan_key = excluded.plan_key

-- name: customer_get^
-- One customer, its row locked.
-- about: customer :customer_id
-- reads: customer
SELECT customer_id, user_id, checkout_user_id, as_of, deleted FROM customer WHERE customer_id = :customer_id /*lock*/

-- name: customer_put!
-- Write the whole row of a customer.
-- about: customer :customer_id
-- writes: customer, one row
INSERT INTO customer (customer_id, user_id, checkout_user_id, as_of, deleted)
VALUES (:customer_id, :user_id, :checkout_user_id, :as_of, :deleted)
ON CONFLICT (customer_id, account) DO UPDATE SET user_id = excluded.user_id, checkout_user_id = excluded.checkout_user_id,
    as_of = excluded.as_of, deleted = excluded.deleted

-- name: customer_of_user
-- The ids of the customers that are a user's and not deleted.
-- about: user :user_id
-- reads: customer
SELECT customer_id FROM customer
WHERE (user_id = :user_id OR (user_id IS NULL AND checkout_user_id = :user_id)) AND deleted = 0 ORDER BY customer_id

-- name: customer_ids_of_user
-- The ids of all customers that were ever a user's.
-- about: user :user_id
-- reads: customer
SELECT customer_id FROM customer WHERE user_id = :user_id OR checkout_user_id = :user_id ORDER BY customer_id

-- name: users_get^
-- One user, not locked.
-- about: user :user_id
-- reads: users
SELECT user_id, version, shown, shown_until, catalogue, updated_at, customer_id, customer_serial, checkout_serial, trial_used_at
FROM users WHERE user_id = :user_id

-- name: users_ensure!
-- Make the row of a user who was never seen, so that it can be locked.
-- about: user :user_id
-- writes: users, one row
INSERT INTO users (user_id) VALUES (:user_id) ON CONFLICT (user_id, account) DO NOTHING

-- name: users_lock^
-- One user, the row locked.
-- about: user :user_id
-- reads: users
SELECT user_id, version, shown, shown_until, catalogue, updated_at, customer_id, customer_serial, checkout_serial, trial_used_at
FROM users WHERE user_id = :user_id /*lock*/

-- name: users_draw
-- A user and each subscription of theirs; the user in every row, one row where there is no subscription.
-- about: user :user_id
-- reads: users, subscription
-- after: users_lock
SELECT u.version, u.shown, u.updated_at, u.customer_id, u.trial_used_at,
    s.subscription_id, s.facts, s.as_of, s.evidence, s.since, s.unpaid_since, s.unknown_status, s.billing, s.missing_since
FROM users u LEFT JOIN subscription s ON s.user_id = u.user_id WHERE u.user_id = :user_id

-- name: users_show!
-- Write what a user is shown.
-- about: user :user_id
-- writes: users, one row
UPDATE users SET version = :version, shown = :shown, shown_until = :shown_until, catalogue = :catalogue, supplies = :supplies, updated_at = :updated_at,
    customer_id = :customer_id, trial_used_at = :trial_used_at
WHERE user_id = :user_id

-- name: users_update!
-- The same where customer and trial stay as they are: no index but the clock's is touched.
-- about: user :user_id
-- writes: users, one row
UPDATE users SET version = :version, shown = :shown, shown_until = :shown_until, catalogue = :catalogue, supplies = :supplies, updated_at = :updated_at
WHERE user_id = :user_id

-- name: users_set_customer!
-- Set the customer that checkout and portal use.
-- about: user :user_id
-- writes: users, one row
UPDATE users SET customer_id = :customer_id WHERE user_id = :user_id

-- name: users_of_customer
-- The users whose portal opens a customer.
-- about: customer :customer_id
-- reads: users
SELECT user_id FROM users WHERE customer_id = :customer_id ORDER BY user_id

-- name: users_drop_customer!
-- Take the customer away from a user; the next checkout makes another.
-- about: user :user_id
-- writes: users, one row
UPDATE users SET customer_id = NULL, customer_serial = customer_serial + 1 WHERE user_id = :user_id

-- name: users_next_checkout!
-- A checkout of the user's ended: what is asked for next is another one.
-- about: user :user_id
-- writes: users, one row
UPDATE users SET checkout_serial = checkout_serial + 1 WHERE user_id = :user_id

-- name: users_due
-- Up to 100 users whose state the clock alone has changed, the longest due first.
-- reads: users
SELECT user_id FROM users WHERE shown_until <= :now ORDER BY shown_until LIMIT 100

-- name: decision_insert!
-- Enter a decision in the ledger.
-- writes: decision, one row
INSERT INTO decision (at, event_id, event_type, source, user_id, subscription_id, fired, from_state, to_state, outcome, guard, facts, changed, actor, why)
VALUES (:at, :event_id, :event_type, :source, :user_id, :subscription_id, :fired, :from_state, :to_state, :outcome, :guard, :facts, :changed, :actor, :why)

-- name: decision_link!
-- The user of a subscription became known: what was decided before is theirs too.
-- about: subscription :subscription_id
-- writes: decision
UPDATE decision SET user_id = :user_id WHERE subscription_id = :subscription_id AND user_id IS NULL

-- name: decision_page
-- A page of a user's decisions, newest first, older than a number.
-- about: user :user_id
-- reads: decision
SELECT seq, at, event_id, event_type, source, fired, from_state, to_state, outcome, guard FROM decision
WHERE user_id = :user_id AND seq < :before ORDER BY seq DESC LIMIT :limit

-- name: decision_way
-- The last 100 transitions of a user's subscriptions, newest first.
-- about: user :user_id
-- reads: decision
SELECT subscription_id, from_state, to_state FROM decision
WHERE user_id = :user_id AND outcome = 'applied' AND from_state IS NOT NULL ORDER BY seq DESC LIMIT 100

-- name: queue_put!
-- Queue what is to be done; where the same is queued already the earlier time counts, and one given up is begun again.
-- about: job :key
-- writes: queue, one row
INSERT INTO queue (kind, key, name, payload, due_at) VALUES (:kind, :key, :name, :payload, :due_at)
ON CONFLICT (kind, key, name, account) DO UPDATE SET dead = NULL,
    due_at = CASE WHEN excluded.due_at < queue.due_at THEN excluded.due_at ELSE queue.due_at END

-- name: queue_claim
-- Lease what is due of a kind, of each key the oldest alone, so that nobody else does it meanwhile.
-- writes: queue
WITH due AS MATERIALIZED (
    SELECT seq FROM queue AS one
    WHERE kind = :kind AND dead IS NULL AND CASE WHEN lease_until > due_at THEN lease_until ELSE due_at END <= :now
        AND seq = (SELECT min(older.seq + 0) FROM queue AS older
            WHERE older.key = one.key AND older.kind = one.kind AND coalesce(older.dead, '') = '')
    ORDER BY CASE WHEN lease_until > due_at THEN lease_until ELSE due_at END LIMIT :limit /*claim*/)
UPDATE queue SET lease_until = :lease_until, attempts = attempts + 1 WHERE seq IN /*keys*/ ( SELECT seq FROM due /*keys*/ )
RETURNING key, name, payload, attempts

-- name: queue_next^
-- When the next of a kind is due, and how many wait.
-- reads: queue
SELECT min(CASE WHEN lease_until > due_at THEN lease_until ELSE due_at END), count(*) FROM queue
WHERE kind = :kind AND dead IS NULL

-- name: queue_again!
-- Do it at a later time; its lease is over.
-- about: job :key
-- writes: queue, one row
UPDATE queue SET due_at = :due_at, lease_until = 0, last_error = :last_error WHERE key = :key AND kind = :kind AND name = :name

-- name: queue_done!
-- It is done.
-- about: job :key
-- writes: queue, one row
DELETE FROM queue WHERE key = :key AND kind = :kind AND name = :name

-- name: queue_bury!
-- It is given up, and stays to be looked at.
-- about: job :key
-- writes: queue, one row
UPDATE queue SET dead = :dead, lease_until = 0 WHERE key = :key AND kind = :kind AND name = :name

-- name: queue_dead
-- What was given up, the oldest first.
-- reads: queue
SELECT seq, kind, key, name, attempts, last_error, dead FROM queue WHERE dead IS NOT NULL ORDER BY seq LIMIT :limit

-- name: queue_free_leases!
-- Forget every lease, where no other process can hold one.
-- writes: queue
UPDATE queue SET lease_until = 0

-- name: checkout_open^
-- The open checkout session of a user.
-- about: user :user_id
-- reads: checkout
SELECT session_id, intent, url, expires_at FROM checkout WHERE user_id = :user_id AND status = 'open'

-- name: checkout_all_open
-- The ids of all open checkout sessions.
-- reads: checkout
SELECT session_id FROM checkout WHERE status = 'open' ORDER BY session_id

-- name: checkout_put!
-- Store an open checkout session.
-- about: checkout :session_id
-- writes: checkout, one row
INSERT INTO checkout (session_id, user_id, intent, url, expires_at, status)
VALUES (:session_id, :user_id, :intent, :url, :expires_at, 'open')
ON CONFLICT (session_id, account) DO NOTHING

-- name: checkout_close^
-- Close an open checkout session; returns whose it was, nothing where it was not open.
-- about: checkout :session_id
-- writes: checkout, one row
UPDATE checkout SET status = :status WHERE session_id = :session_id AND account = '' AND status NOT IN ('complete', 'expired')
RETURNING user_id

-- name: memo_get^
-- A value that the program keeps under a name.
-- about: memo :name
-- reads: memo
SELECT value FROM memo WHERE name = :name

-- name: memo_put!
-- Keep a value under a name.
-- about: memo :name
-- writes: memo, one row
INSERT INTO memo (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: turn_take
-- Take a user's turn, unless somebody's lease on it still runs; one row where it was taken.
-- about: user :user_id
-- writes: turn
INSERT INTO turn (account, user_id, lease_until) VALUES (:account, :user_id, :lease_until)
ON CONFLICT (account, user_id) DO UPDATE SET lease_until = excluded.lease_until WHERE turn.lease_until <= :now
RETURNING 1

-- name: turn_end!
-- Give a turn back, where it is still one's own.
-- about: user :user_id
-- writes: turn
DELETE FROM turn WHERE account = :account AND user_id = :user_id AND lease_until = :lease_until

-- name: verb_key_get^
-- What a caller's Idempotency-Key was used for.
-- about: user :user_id
-- reads: verb_key
SELECT said, at FROM verb_key WHERE account = :account AND user_id = :user_id AND verb_key = :verb_key

-- name: verb_key_put!
-- Remember what a caller's Idempotency-Key was used for.
-- about: user :user_id
-- writes: verb_key
INSERT INTO verb_key (account, user_id, verb_key, said, at) VALUES (:account, :user_id, :verb_key, :said, :at)
ON CONFLICT (account, user_id, verb_key) DO UPDATE SET said = excluded.said, at = excluded.at

-- name: verb_key_forget!
-- Forget the keys that were used before a time.
-- writes: verb_key
DELETE FROM verb_key WHERE at < :before

-- name: usage_counter_get^
-- One counter of a user, its row locked.
-- about: user :user_id
-- reads: usage_counter
SELECT used, reserved, holds_until, alerted, alert_limit FROM usage_counter
WHERE user_id = :user_id AND feature = :feature AND window_start = :window_start /*lock*/

-- name: usage_counter_peek^
-- One counter of a user, without locking it.
-- about: user :user_id
-- reads: usage_counter
SELECT used, reserved, holds_until, alerted, alert_limit FROM usage_counter
WHERE user_id = :user_id AND feature = :feature AND window_start = :window_start

-- name: usage_counters_of_user
-- All counters of a user.
-- about: user :user_id
-- reads: usage_counter
SELECT feature, window_start, used, reserved, holds_until, alerted, alert_limit FROM usage_counter WHERE user_id = :user_id

-- name: usage_counter_put!
-- Write one counter.
-- about: user :user_id
-- writes: usage_counter, one row
INSERT INTO usage_counter (user_id, feature, window_start, used, reserved, holds_until, alerted, alert_limit)
VALUES (:user_id, :feature, :window_start, :used, :reserved, :holds_until, :alerted, :alert_limit)
ON CONFLICT (user_id, feature, window_start, account) DO UPDATE SET used = excluded.used, reserved = excluded.reserved,
    holds_until = excluded.holds_until, alerted = excluded.alerted, alert_limit = excluded.alert_limit

-- name: usage_seen_get^
-- What was answered to a use that has been here before, and when.
-- about: user :user_id
-- reads: usage_seen
SELECT answer, at FROM usage_seen WHERE user_id = :user_id AND feature = :feature AND id = :id

-- name: usage_seen_put!
-- Keep what was answered; one that is older than what is remembered gives way.
-- about: user :user_id
-- writes: usage_seen, one row
INSERT INTO usage_seen (user_id, feature, id, at, answer) VALUES (:user_id, :feature, :id, :at, :answer)
ON CONFLICT (user_id, feature, id, account) DO UPDATE SET at = excluded.at, answer = excluded.answer

-- name: usage_seen_forget
-- Forget the oldest, some 500, that are older than a time; one row for each.
-- writes: usage_seen
DELETE FROM usage_seen WHERE at < :before AND at <= (
    SELECT max(at) FROM (SELECT at FROM usage_seen WHERE at < :before ORDER BY at LIMIT 500) AS due)
RETURNING 1

-- name: usage_hold_get^
-- One hold, its row locked.
-- about: hold :hold_id
-- reads: usage_hold
SELECT hold_id, user_id, feature, window_start, amount, at, expires_at, answer FROM usage_hold WHERE hold_id = :hold_id /*lock*/

-- name: usage_hold_owner^
-- Whose a hold is.
-- about: hold :hold_id
-- reads: usage_hold
SELECT user_id FROM usage_hold WHERE hold_id = :hold_id

-- name: usage_hold_add!
-- Store an open hold.
-- about: hold :hold_id
-- writes: usage_hold, one row
INSERT INTO usage_hold (hold_id, user_id, feature, window_start, amount, at, expires_at)
VALUES (:hold_id, :user_id, :feature, :window_start, :amount, :at, :expires_at)

-- name: usage_hold_settle!
-- Close a hold with the answer of its settlement.
-- about: hold :hold_id
-- writes: usage_hold
UPDATE usage_hold SET answer = :answer WHERE hold_id = :hold_id

-- name: usage_hold_open^
-- How much of a counter is set aside by holds that have not ended, and when the first of them ends.
-- about: user :user_id
-- reads: usage_hold
SELECT coalesce(sum(amount), 0), coalesce(min(expires_at), 0) FROM usage_hold
WHERE user_id = :user_id AND feature = :feature AND window_start = :window_start AND answer IS NULL AND expires_at > :now

-- name: usage_hold_forget
-- Forget the oldest holds, at most 500, made before a time; one row for each.
-- writes: usage_hold
DELETE FROM usage_hold WHERE hold_id IN /*keys*/ (
    SELECT hold_id FROM usage_hold WHERE at < :before ORDER BY at LIMIT 500 /*keys*/ )
RETURNING 1

-- name: meter_minute_add!
-- Add to what a customer used of a meter in a minute.
-- about: customer :customer_id
-- writes: meter_minute, one row
INSERT INTO meter_minute (customer_id, event_name, minute, value) VALUES (:customer_id, :event_name, :minute, :value)
ON CONFLICT (customer_id, event_name, minute, account) DO UPDATE SET value = meter_minute.value + excluded.value

-- name: meter_minute_oldest
-- The oldest minutes, at most 200, that began before a time.
-- reads: meter_minute
SELECT customer_id, event_name, minute FROM meter_minute WHERE minute < :before ORDER BY minute LIMIT 200

-- name: meter_minute_close^
-- Take out a minute.
-- about: customer :customer_id
-- writes: meter_minute
DELETE FROM meter_minute WHERE customer_id = :customer_id AND event_name = :event_name AND minute = :minute
RETURNING customer_id, event_name, minute, value

-- name: meter_minute_close_customer
-- Take out all minutes of a customer, the present one too.
-- about: customer :customer_id
-- writes: meter_minute
DELETE FROM meter_minute WHERE customer_id = :customer_id RETURNING customer_id, event_name, minute, value

-- name: meter_minute_waiting
-- What of a customer and meter is not in an event yet, from a time on, before another.
-- about: customer :customer_id
-- reads: meter_minute
SELECT minute, value FROM meter_minute
WHERE customer_id = :customer_id AND event_name = :event_name AND minute >= :since AND minute < :before

-- name: meter_event_add!
-- Store a meter event before it is sent.
-- about: meter_event :identifier
-- writes: meter_event, one row
INSERT INTO meter_event (identifier, customer_id, event_name, minute, value, state)
VALUES (:identifier, :customer_id, :event_name, :minute, :value, 'waiting')

-- name: meter_event_get^
-- One meter event, its row locked.
-- about: meter_event :identifier
-- reads: meter_event
SELECT identifier, customer_id, event_name, minute, value, state, first_sent_at, settled_at, late, why FROM meter_event
WHERE identifier = :identifier /*lock*/

-- name: meter_event_sending!
-- Note when an event is first given to Stripe.
-- about: meter_event :identifier
-- writes: meter_event
UPDATE meter_event SET first_sent_at = :at WHERE identifier = :identifier

-- name: meter_event_settle!
-- Note what became of an event.
-- about: meter_event :identifier
-- writes: meter_event
UPDATE meter_event SET state = :state, settled_at = :at, why = :why, late = :late WHERE identifier = :identifier

-- name: meter_events_of
-- The events of a customer and meter, from a time on, before another.
-- about: customer :customer_id
-- reads: meter_event
SELECT identifier, customer_id, event_name, minute, value, state, first_sent_at, settled_at, late, why FROM meter_event
WHERE customer_id = :customer_id AND event_name = :event_name AND minute >= :since AND minute < :before

-- name: meter_events_dead
-- Events that were given up until a time, the newest first.
-- reads: meter_event
SELECT identifier, customer_id, event_name, minute, value, state, first_sent_at, settled_at, late, why FROM meter_event
WHERE state = 'dead' AND settled_at <= :before ORDER BY settled_at DESC LIMIT :limit

-- name: meter_events_open
-- How many events wait to be sent, and the minute of the oldest.
-- reads: meter_event
SELECT count(*), coalesce(min(minute), 0) FROM meter_event WHERE state = 'waiting'

-- name: meter_event_forget
-- Forget the oldest events, at most 500, that were delivered before a time; one row for each.
-- writes: meter_event
DELETE FROM meter_event WHERE identifier IN /*keys*/ (
    SELECT identifier FROM meter_event WHERE state = 'delivered' AND settled_at < :before
    ORDER BY settled_at LIMIT 500 /*keys*/ )
RETURNING 1

-- name: users_supplied^
-- What a user holds that gives access, and what it was made of.
-- about: user :user_id
-- reads: users
SELECT supplies, shown_until, catalogue FROM users WHERE user_id = :user_id

-- name: meter_events_waiting
-- A page of the events that wait to be sent, the oldest first.
-- reads: meter_event
SELECT identifier, customer_id, event_name, minute, value, state, first_sent_at, settled_at, late, why FROM meter_event
WHERE state = 'waiting' AND minute >= :after AND (minute > :after OR identifier > :after_identifier) ORDER BY minute, identifier LIMIT :limit
