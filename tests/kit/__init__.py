"""What every test may use: one way each to start a service, to speak for Stripe, to sign, to turn a clock."""
