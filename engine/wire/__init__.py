"""What Stripe says: its objects, its events, their signature, and the client that asks it."""
