"""Interlock: a state-machine subscription engine for Stripe."""

from interlock.engine import *  # noqa: F403
from interlock.engine import __all__ as __all__
