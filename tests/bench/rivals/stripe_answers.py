"""What dj-stripe's questions are answered from: any object by its id, at once."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from typing import Any, Final

from tests.bench import traffic

_NAMED: Final = {
    "customers": "customer", "prices": "price", "products": "product", "invoices": "invoice", "plans": "plan",
    "payment_methods": "payment_method", "subscription_items": "subscription_item",
}  # fmt: skip


class Answers:
    """Objects by their path.  A subscription's is the one after as many steps as it was asked about."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()

    def answer(self, path: str) -> Any:
        kind, _, object_id = path.removeprefix("/v1/").partition("?")[0].partition("/")
        if "/" in object_id:  # a list beneath an object
            return {"object": "list", "data": [], "has_more": False, "url": path}
        if kind == "subscriptions":
            self._asked[object_id] += 1
            return _subscription(object_id, self._asked[object_id] - 1)
        return {
            "id": object_id or "acct_bench",
            "object": _NAMED.get(kind, kind),
            "livemode": False,
            "metadata": {},
            "created": traffic.BEGIN,
            **_MORE.get(kind, {}),
        }


def _subscription(object_id: str, step: int) -> Any:
    """The object of whoever has that id: its other ids do not matter here, but its customer's must stay."""
    text = json.dumps(traffic.subscription_at(step)).encode()
    ids = {
        key: object_id.replace("sub_", f"{key}_").encode() for key in ("cus", "pm", "si", "in", "user", "req", "evt")
    }
    return json.loads(text % {**{key.encode(): value for key, value in ids.items()}, b"sub": object_id.encode()})


_MORE: Final[dict[str, dict[str, Any]]] = {
    "customers": {"email": None, "name": None, "currency": "usd", "balance": 0, "delinquent": False, "address": None},
    "products": {"name": "Pro", "active": True, "type": "service", "attributes": [], "images": []},
    "prices": {
        "active": True, "currency": "usd", "product": "prod_bench", "type": "recurring", "unit_amount": 2000,
        "unit_amount_decimal": "2000", "billing_scheme": "per_unit", "recurring": {"interval": "month"},
    },
    "account": {"id": "acct_bench", "object": "account", "type": "standard", "settings": {}},
    "accounts": {"object": "account", "type": "standard", "settings": {}},
    "invoices": {
        "customer": None, "subscription": None, "status": "paid", "amount_due": 2000, "amount_paid": 2000,
        "amount_remaining": 0, "currency": "usd", "total": 2000, "subtotal": 2000, "period_start": traffic.BEGIN,
        "period_end": traffic.BEGIN, "lines": {"object": "list", "data": [], "has_more": False},
    },
}  # fmt: skip


async def _serve(answers: Answers, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            body = json.dumps(answers.answer(head.split(" ", 2)[1])).encode()
            status = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            writer.write(status + body)
            if "--verbose" in sys.argv:
                print(head.split("\r\n")[0], flush=True)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    answers = Answers()
    server = await asyncio.start_server(lambda r, w: _serve(answers, r, w), "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
