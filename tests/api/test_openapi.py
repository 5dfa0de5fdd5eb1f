"""The OpenAPI document is valid, true, and shown with no internet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from interlock.api import routes
from interlock.api.http.problems import KINDS
from interlock.api.schema.page import words
from interlock.engine import Outcome, State, diagram, errors
from tests.kit.bodies import subscription_event
from tests.kit.service import Service


@pytest.fixture(scope="module")
def document(service: Service) -> dict[str, Any]:
    answer = service.get("/schema/openapi.json")
    assert answer.status_code == 200
    return answer.json()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def valid(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    """Check a value against a schema of the document, whose references are within the document."""
    validator: Any = Draft202012Validator({**schema, "components": document["components"]})
    validator.validate(value)


def test_every_route_is_described(document: dict[str, Any]) -> None:
    """OpenAPI 3.1, each route once, with id, tag, words and who may ask; every schema is a JSON schema."""
    assert document["openapi"].startswith("3.1")
    described = {(method, path) for method, path, _ in operations(document)}
    plain = [*routes.ANYONES, *routes.USERS, *routes.OPERATORS, *routes.SERVICES, *routes.OF_ONE_USER]
    there = {(m, p.replace(":str", "")) for handler in plain for p in handler.paths for m in handler.http_methods}
    twins = {
        (m, "/users/{user_id}" + p.replace(":str", ""))
        for handler in routes.USERS
        for p in handler.paths
        for m in handler.http_methods
    }
    assert described == there | twins
    for _, path, operation in operations(document):
        named = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path)), path
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    tags = {tag["name"] for tag in document["tags"]}
    schemes = set(document["components"]["securitySchemes"])
    for _, path, operation in operations(document):
        assert set(operation["tags"]) <= tags
        assert operation["summary"]
        assert operation["description"]
        assert {name for needed in operation["security"] for name in needed} <= schemes
        assert operation["security"], path
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_examples_are_what_they_exemplify(document: dict[str, Any]) -> None:
    """Each example fits its schema, nulls and all, and has no member that OpenAPI does not know."""
    seen = 0
    for _, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            for media_type, content in answer.get("content", {}).items():
                assert int(status) < 400 or media_type == "application/problem+json"
                for example in content.get("examples", {}).values():
                    assert set(example) <= {"summary", "description", "value"}
                    valid(document, content["schema"], example["value"])
                    seen += 1
    assert seen > 40


def test_answers_are_what_is_described(service: Service, document: dict[str, Any], new_user: Callable[[], str]) -> None:
    """Real answers fit the document's schemas: state, history, catalogue, webhook, problem."""
    user = new_user()

    def fits(path: str, status: int, value: Any, method: str = "get") -> None:
        answer = document["paths"][path][method]["responses"][str(status)]
        for content in answer["content"].values():
            valid(document, content["schema"], value)

    fits("/subscription", 200, service.get("/subscription", user).json())
    event = subscription_event(user, sub_id=f"sub_{user}", event_id=f"evt_{user}")
    fits("/webhooks/stripe", 200, service.deliver(event).json(), "post")
    state = service.get("/subscription", user).json()
    fits("/subscription", 200, state)
    assert set(state) == set(document["components"]["schemas"]["DatedState"]["required"])
    fits("/subscription/history", 200, service.get("/subscription/history", user).json())
    fits("/plans", 200, service.get("/plans").json())
    fits("/subscription", 401, service.get("/subscription").json())


def test_its_page_needs_nothing_else(service: Service, document: dict[str, Any]) -> None:
    """The page names every route, loads nothing, runs no script, and its policy would not let it."""
    for path, link in (("/schema", "schema/openapi.json"), ("/schema/", "openapi.json")):
        answer = service.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        assert f"href='{link}'" in answer.text
        text = answer.text.replace(f"<link rel=icon href='{diagram.ICON}'>", "", 1)
        assert len(text) < len(answer.text), "a page that names no icon makes the browser ask for one"
        assert not re.search(r"<script|<link|<img|@import|url\(|https?://", text.replace("https://checkout", "")
                             .replace("https://billing", ""))  # fmt: skip
        for _, route, _ in operations(document):
            assert route in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "'unsafe-inline'" not in answer.headers["content-security-policy"]


def test_its_page_reads_well(service: Service) -> None:
    """Names that the document marks as code are shown as code: no backtick is left but in the JSON itself."""
    text = re.sub(r"<pre>.*?</pre>", "", service.get("/schema").text, flags=re.DOTALL)
    assert "errors are <code>application/problem+json</code>." in text
    assert "`" not in text


def test_words_are_escaped_before_they_are_marked() -> None:
    """What stands between backticks is code, whatever it is: never a tag; a backtick alone stays one."""
    assert words("`a<b>` & `c`") == "<code>a&lt;b&gt;</code> &amp; <code>c</code>"
    assert words("5` <i>") == "5` &lt;i&gt;"


def test_it_holds_under_any_prefix(document: dict[str, Any]) -> None:
    """The document's server is relative to the document, so it is right wherever the service is mounted."""
    assert [server["url"] for server in document["servers"]] == [".."]


def test_each_error_of_the_engine_has_a_status() -> None:
    """Nothing that the engine tells a caller ends as a 500; a bad configuration never reaches a caller."""
    told = {
        kind.code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.InterlockError)
    }
    assert told - {errors.InterlockError.code, errors.BadConfiguration.code} <= set(KINDS)


def test_values_and_times_are_named(document: dict[str, Any]) -> None:
    """State, reason, outcome, source, action and code are enums that can be read in the document; times are times."""
    schemas = document["components"]["schemas"]

    def values(shape: str, field: str) -> set[str]:
        part: Any = schemas[shape]["properties"][field]
        part = part.get("items", part)
        for one in part.get("oneOf", [part]):
            if "$ref" in one:
                part = schemas[one["$ref"].rpartition("/")[2]]
        return set(part["enum"])

    assert values("DatedState", "state") == {state.value for state in State} == values("Entry", "to") | {"none"}
    assert {"paid", "payment_failed", "grace_period"} < values("AccessShown", "reason")
    assert values("Entry", "outcome") == values("WebhookAnswer", "outcome") == {outcome.value for outcome in Outcome}
    assert {"webhook", "clock", "operator"} < values("Entry", "source")
    assert {"checkout", "change_plan", "pay"} < values("DatedState", "available_actions")
    assert values("Problem", "code") == set(KINDS)
    for shape, field in (("DatedState", "updated_at"), ("Entry", "at"), ("CheckoutAnswer", "expires_at")):
        assert schemas[shape]["properties"][field]["format"] == "date-time"
    for field in ("current_period_end", "trial_end", "cancel_at"):
        kinds = schemas["DatedState"]["properties"][field]["oneOf"]
        assert [kind.get("format") for kind in kinds if kind["type"] == "string"] == ["date-time"]
