"""Testing against a whole Stripe in this process: months go by in milliseconds.  See `plugin` for the fixtures."""
