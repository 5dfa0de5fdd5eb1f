"""The stand-in Stripe."""

from .app import create_sandbox
from .carrier import Sandbox
from .clock import SandboxClock
from .world import Answer, World

__all__ = ["Answer", "Sandbox", "SandboxClock", "World", "create_sandbox"]
