"""A world at hand, with short calls.  What it answers and emits is validated as any stand-in's is (`watch`)."""

from __future__ import annotations

from typing import Any

from interlock.api.sandbox import World, WorldAnswer

Obj = dict[str, Any]

NOW = 1_800_000_000
HOUR, DAY = 3_600, 86_400


class Bench:
    """One world, one monthly price, one endpoint that takes everything."""

    def __init__(self, seed: int = 1, api_version: str | None = None) -> None:
        self.world = World(seed=seed, now=NOW)
        hook: Obj = {"url": "http://127.0.0.1:1/", "enabled_events": ["*"]}
        if api_version:
            hook["api_version"] = api_version
        self.endpoint = self.post("webhook_endpoints", hook)
        product = self.post("products", {"name": "Pro"})
        self.price = self.post(
            "prices",
            {"product": product["id"], "currency": "usd", "unit_amount": 2000, "recurring": {"interval": "month"}},
        )
        self._seen = 0

    # -- calls -------------------------------------------------------------------------------------

    def call(self, method: str, path: str, params: Obj | None = None, **options: Any) -> WorldAnswer:
        """Any call."""
        return self.world.request(method, f"/v1/{path}", params, **options)

    def post(self, path: str, params: Obj | None = None, **options: Any) -> Obj:
        """A POST that must go well."""
        answer = self.call("POST", path, params, **options)
        assert answer.status == 200, answer.body
        return answer.body

    def get(self, path: str, params: Obj | None = None) -> Obj:
        """A GET that must go well."""
        answer = self.call("GET", path, params)
        assert answer.status == 200, answer.body
        return answer.body

    def delete(self, path: str, params: Obj | None = None) -> Obj:
        """A DELETE that must go well."""
        answer = self.call("DELETE", path, params)
        assert answer.status == 200, answer.body
        return answer.body

    def refuse(self, status: int, method: str, path: str, params: Obj | None = None) -> Obj:
        """A call that must be refused; the error."""
        answer = self.call(method, path, params)
        assert answer.status == status, (answer.status, answer.body)
        error: Obj = answer.body["error"]
        return error

    # -- people ------------------------------------------------------------------------------------

    def customer(self, card: str | None = "pm_card_visa", **more: Any) -> Obj:
        """A customer with this card as the default."""
        params: Obj = dict(more)
        if card:
            params |= {"payment_method": card, "invoice_settings": {"default_payment_method": card}}
        return self.post("customers", params)

    def subscribe(self, customer: Obj | None = None, **more: Any) -> Obj:
        """A subscription to the price."""
        owner = customer or self.customer()
        return self.post("subscriptions", {"customer": owner["id"], "items": [{"price": self.price["id"]}], **more})

    def sub(self, sub: Obj) -> Obj:
        """The subscription as it is now."""
        return self.get(f"subscriptions/{sub['id']}")

    def status(self, sub: Obj) -> str:
        """Its status now."""
        return str(self.sub(sub)["status"])

    def latest(self, sub: Obj) -> Obj:
        """Its latest invoice."""
        return self.get(f"invoices/{self.sub(sub)['latest_invoice']}")

    def switch(self, outcome: str) -> None:
        """How every card behaves from now on."""
        for method in self.world.all("payment_method"):
            self.world.note(method["id"])["switch"] = outcome

    # -- time and events ---------------------------------------------------------------------------

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.world.advance(self.world.time + seconds)

    def until(self, moment: int) -> None:
        """Let time pass until `moment`."""
        self.world.advance(moment)

    def news(self, *prefixes: str) -> list[Obj]:
        """The events since the last call of this, of these types."""
        found = self.world.events()[self._seen :]
        self._seen += len(found)
        return [e for e in found if not prefixes or e["type"].startswith(prefixes)]

    def told(self, *prefixes: str) -> list[str]:
        """Their types; by default those of subscriptions and invoices."""
        return [e["type"] for e in self.news(*(prefixes or ("customer.subscription", "invoice.")))]


S = "customer.subscription."
MADE = ["invoice.created", "invoice.finalized"]
PAID = ["invoice.updated", "invoice.paid", "invoice.payment_succeeded"]
FAILED = ["invoice.updated", "invoice.payment_failed"]
