"""Interlock: a state-machine subscription engine for Stripe.

Read `table`, `machine`, `inbox` and `truth`, in this order, and you know the system.
"""

from engine.access import Access, access, available_actions
from engine.config import Config
from engine.interlock import Interlock
from engine.machine import decide
from engine.plans import Catalogue, load_catalogue, read_catalogue
from engine.states import Decision, Evidence, Facts, Kind, Outcome, State, Subscription
from engine.table import TRANSITIONS, Transition

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
