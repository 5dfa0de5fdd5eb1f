"""A service beside a stand-in Stripe follows its clock: SANDBOX_CLOCK."""

from __future__ import annotations

import time

from tests.kit.service import StartService
from tests.kit.settings import make_token
from tests.sandbox.live import Live

MONTH = 31 * 86_400


def test_months_go_by_and_webhooks_are_taken(start_service: StartService) -> None:
    """The stand-in signs by its own clock; a service that follows it takes what is signed months ahead."""
    stripe = Live()
    try:
        endpoints = stripe.stripe.v1.webhook_endpoints
        endpoint = endpoints.create({"url": "http://127.0.0.1:9/", "enabled_events": ["*"]})
        service = start_service(
            STRIPE_API_BASE=stripe.url, STRIPE_WEBHOOK_SECRET=endpoint.secret, SANDBOX_CLOCK=stripe.url
        )
        endpoints.update(endpoint.id, {"url": f"{service.url}/webhooks/stripe"})
        stripe.panel("clock/advance", {"seconds": 3 * MONTH})
        customer = stripe.stripe.v1.customers.create({"metadata": {"user_id": "u_later"}})
        until = time.monotonic() + 10
        while stripe.box.world.outbox.pending:
            assert time.monotonic() < until, "the service refuses what the stand-in signs"
            time.sleep(0.02)
        assert customer.id
        assert service.request("GET", "/health/ready").status_code == 200
        stale = {"Authorization": f"Bearer {make_token('u_later')}"}
        assert service.request("GET", "/subscription", headers=stale).status_code == 401
        later = {"Authorization": f"Bearer {make_token('u_later', exp=int(time.time()) + 4 * MONTH)}"}
        assert service.request("GET", "/subscription", headers=later).status_code == 200
    finally:
        stripe.close()
