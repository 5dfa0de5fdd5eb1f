"""Interlock: a state-machine subscription engine for Stripe.

Read `table`, `machine`, `inbox` and `truth`, in this order, and you know the system.
"""

from interlock.engine.config import Config
from interlock.engine.core.access import Access, access, available_actions
from interlock.engine.core.catalogue import Catalogue, load_catalogue, read_catalogue
from interlock.engine.core.machine import decide
from interlock.engine.core.states import Decision, Evidence, Facts, Kind, Outcome, State, Subscription
from interlock.engine.core.table import TRANSITIONS, Transition
from interlock.engine.interlock import Interlock

__all__ = [
    "TRANSITIONS",
    "Access",
    "Catalogue",
    "Config",
    "Decision",
    "Evidence",
    "Facts",
    "Interlock",
    "Kind",
    "Outcome",
    "State",
    "Subscription",
    "Transition",
    "access",
    "available_actions",
    "decide",
    "load_catalogue",
    "read_catalogue",
]
