"""Interlock's engine, and the only names of it that the API may import.

To read it, three sittings.  The rule: `core/table`, `core/machine` (its head is the theory, with a late event worked
through), `core/guards`.  What one event does: `units/effects`, `units/evidence`, `units/owners`, `units/projection`.
What runs: `flow/runner` (how every transaction ends), `flow/asker` (how Stripe is asked), `flow/sweep`.
"""

from interlock.engine import diagram, errors
from interlock.engine.commands.cancel import CancelBody, CancelPreview
from interlock.engine.commands.cards import NewCard
from interlock.engine.commands.change import ChangeBody
from interlock.engine.commands.consume import Consumed
from interlock.engine.commands.hold import HoldAnswer
from interlock.engine.commands.pause import PauseBody
from interlock.engine.commands.resume import ResumeBody
from interlock.engine.commands.usage import RefusedUse, UsageEvent, UsageReport
from interlock.engine.config import Clock, Config
from interlock.engine.core.access import RULES, Access, Reason, access
from interlock.engine.core.actions import Refusal, available_actions
from interlock.engine.core.catalogue import Catalogue, load_catalogue, make_catalogue, read_catalogue
from interlock.engine.core.holding import Grant, Holder, Holding, hold
from interlock.engine.core.machine import decide
from interlock.engine.core.states import Decision, Evidence, Facts, Kind, Outcome, State, Subscription
from interlock.engine.core.table import TRANSITIONS, Transition
from interlock.engine.core.view import (
    AccessShown,
    AddonHeld,
    Cancellation,
    DatedState,
    GrantShown,
    PaymentProblem,
    PendingChange,
    PlanHeld,
    UserState,
)
from interlock.engine.errors import BadConfiguration, InterlockError, NotAccepted, UnknownFeature
from interlock.engine.flow.streams import Watch
from interlock.engine.flow.sweep import Difference
from interlock.engine.interlock import Interlock
from interlock.engine.operate.move import move
from interlock.engine.read.changes import ChangePreview
from interlock.engine.read.features import FeatureAsked, FeatureShown, FeaturesShown
from interlock.engine.read.history import Entry, HistoryPage
from interlock.engine.read.invoices import InvoicePage, InvoiceShown
from interlock.engine.read.payment_methods import PaymentMethodShown
from interlock.engine.read.prices import PlanShown
from interlock.engine.read.state import Shown
from interlock.engine.read.usage import UsageLine
from interlock.engine.wire.client import no_telemetry
from interlock.engine.wire.values import usable_user

__all__ = [
    "RULES",
    "TRANSITIONS",
    "Access",
    "AccessShown",
    "AddonHeld",
    "BadConfiguration",
    "CancelBody",
    "CancelPreview",
    "Cancellation",
    "Catalogue",
    "ChangeBody",
    "ChangePreview",
    "Clock",
    "Config",
    "Consumed",
    "DatedState",
    "Decision",
    "Difference",
    "Entry",
    "Evidence",
    "Facts",
    "FeatureAsked",
    "FeatureShown",
    "FeaturesShown",
    "Grant",
    "GrantShown",
    "HistoryPage",
    "HoldAnswer",
    "Holder",
    "Holding",
    "Interlock",
    "InterlockError",
    "InvoicePage",
    "InvoiceShown",
    "Kind",
    "NewCard",
    "NotAccepted",
    "Outcome",
    "PauseBody",
    "PaymentMethodShown",
    "PaymentProblem",
    "PendingChange",
    "PlanHeld",
    "PlanShown",
    "Reason",
    "Refusal",
    "RefusedUse",
    "ResumeBody",
    "Shown",
    "State",
    "Subscription",
    "Transition",
    "UnknownFeature",
    "UsageEvent",
    "UsageLine",
    "UsageReport",
    "UserState",
    "Watch",
    "access",
    "available_actions",
    "decide",
    "diagram",
    "errors",
    "hold",
    "load_catalogue",
    "make_catalogue",
    "move",
    "no_telemetry",
    "read_catalogue",
    "usable_user",
]
