"""Stripe's resources, one file each, with their rules."""
