-- What a user holds: what a subscription's invoices say together, when Stripe is to be asked because a date has passed,
-- and every price that a catalogue of this database ever named or led to.

ALTER TABLE subscription ADD COLUMN billing {blob};           -- engine.core.states.Billing as JSON
ALTER TABLE subscription ADD COLUMN missing_since {int};      -- when Stripe first answered that it has no such subscription
ALTER TABLE subscription ADD COLUMN check_at {int};           -- when a date has passed that must have brought a change
ALTER TABLE subscription ADD COLUMN unknown_prices text;      -- the prices that no plan sells or sold, with commas, while it lives
CREATE INDEX subscription_by_check ON subscription (check_at) WHERE check_at IS NOT NULL;
CREATE INDEX subscription_of_unknown_price ON subscription (subscription_id) WHERE unknown_prices IS NOT NULL;

ALTER TABLE bill ADD COLUMN failure_attempt {int} NOT NULL DEFAULT 0;
ALTER TABLE bill ADD COLUMN period_end {int};
ALTER TABLE bill ADD COLUMN is_first {int} NOT NULL DEFAULT 0;

CREATE TABLE price (
    price_id text PRIMARY KEY,
    plan_key text,                     -- null: seen, and no catalogue ever sold it
    seen_at {int} NOT NULL
) {strict};
