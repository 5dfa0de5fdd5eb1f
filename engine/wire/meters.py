"""What Stripe says of meters, and how a meter event is written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, field


class Taken(Struct):
    """Stripe's answer to a meter event."""

    identifier: str


class Meter(Struct):
    """One meter.  `default_aggregation` has the `formula`: `sum`, `count` or `last`."""

    id: str
    event_name: str
    default_aggregation: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def formula(self) -> str:
        return str(self.default_aggregation.get("formula"))


class MeterList(Struct):
    """A page of meters."""

    data: list[Meter]


class Summary(Struct):
    """What a meter has of a customer in some time."""

    aggregated_value: float


class SummaryList(Struct):
    """A page of summaries."""

    data: list[Summary]


class Session(Struct):
    """A key to the stream of meter events, good for 15 minutes."""

    authentication_token: str


class _SampleRequest(Struct):
    identifier: str | None = None


class _Sample(Struct):
    request: _SampleRequest = field(default_factory=_SampleRequest)


class ErrorType(Struct):
    """Events that could not be counted, for one reason; `sample_errors` names some of them."""

    code: str
    error_count: int = 0
    sample_errors: list[_Sample] = field(default_factory=list[_Sample])


class _Reason(Struct):
    error_types: list[ErrorType] = field(default_factory=list[ErrorType])


class _Data(Struct):
    reason: _Reason = field(default_factory=_Reason)


class ErrorReport(Struct):
    """`v1.billing.meter.error_report_triggered`, as Stripe gives it when it is asked for the event."""

    data: _Data = field(default_factory=_Data)


def event_v1(event_name: str, identifier: str, customer_id: str, at: int, value: int) -> dict[str, Any]:
    """Write a meter event for `POST /v1/billing/meter_events`."""
    payload = {"stripe_customer_id": customer_id, "value": str(value)}
    return {"event_name": event_name, "identifier": identifier, "timestamp": at, "payload": payload}


def event_v2(event_name: str, identifier: str, customer_id: str, at: int, value: int) -> dict[str, Any]:
    """Write a meter event for the stream, where times are text."""
    time = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
    return event_v1(event_name, identifier, customer_id, at, value) | {"timestamp": time}
