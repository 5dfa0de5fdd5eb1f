"""The OpenAPI document, and it as a page that needs no internet and no script: plain HTML, made once.

Litestar's own pages load their programs from a CDN.
"""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from litestar import Request
from litestar.enums import MediaType
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.serialization import encode_json

from interlock.engine import diagram

Schema: TypeAlias = dict[str, Any]
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_STYLE: Final = (Path(__file__).parent / "page.css").read_text("utf-8")
_TWIN: Final = "/users/{user_id}/"
TIME: Final = "RFC 3339, UTC."
"""What the description of every time begins with; the document gives it the format `date-time`."""


class Document(OpenAPIRenderPlugin):
    """The document itself."""

    def __init__(self) -> None:
        super().__init__(path="/openapi.json", media_type=MediaType.JSON)
        self._body = b""

    def render(self, request: Request[Any, Any, Any], openapi_schema: Schema) -> bytes:
        if not self._body:
            self._body = encode_json(timed(openapi_schema))
        return self._body


def timed(part: Any) -> Any:
    """Give every time its format, which Litestar does not take over from the types."""
    if isinstance(part, list):
        return [timed(each) for each in cast("list[Any]", part)]
    if not isinstance(part, dict):
        return part
    made: Schema = {name: timed(value) for name, value in cast("Schema", part).items()}
    if str(made.get("description", "")).startswith(TIME):
        kinds: list[Schema] = made.get("oneOf", [made])
        for kind in kinds:
            if kind.get("type") == "string":
                kind["format"] = "date-time"
    return made


class SchemaPage(OpenAPIRenderPlugin):
    """Renders the document at the schema's root."""

    def __init__(self) -> None:
        super().__init__(path="/")
        self._page: dict[str, bytes] = {}

    def render(self, request: Request[Any, Any, Any], openapi_schema: Schema) -> bytes:
        # Relative, so that it holds under any prefix: seen from /schema, or from /schema/.
        slashed = request.scope["raw_path"].endswith(b"/")
        link = "openapi.json" if slashed else "schema/openapi.json"
        if link not in self._page:
            document: Schema = json.loads(encode_json(timed(openapi_schema)))
            self._page[link] = _page(document, link).encode()
        return self._page[link]


def _page(document: Schema, link: str) -> str:
    info = document["info"]
    title = escape(f"{info['title']} {info['version']}")
    tags = {tag["name"]: tag.get("description", "") for tag in document.get("tags", ())}
    links = "".join(f"<a href='#{escape(name)}'>{escape(name)}</a>" for name in [*tags, "shapes"])
    sections = "".join(_section(name, about, document) for name, about in tags.items())
    shapes = "".join(
        f"<details id='{escape(name)}'><summary><code>{escape(_short(name))}</code>"
        f"<span class=about>{words(shape.get('description', ''))}</span></summary>{_fields(shape)}</details>"
        for name, shape in sorted(document.get("components", {}).get("schemas", {}).items())
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{title}</title><link rel=icon href='{diagram.ICON}'><style>{_STYLE}</style>"
        f"<header><h1>{title}</h1><p>{words(info.get('description', ''))}</p>"
        f"<p><a href='{link}'>The OpenAPI {escape(document['openapi'])} document</a></p><nav>{links}</nav></header>"
        f"<main>{sections}<h2 id=shapes>Shapes</h2>{shapes}</main></html>"
    )


def words(text: str) -> str:
    """Escape text of the document; what it has between backticks becomes code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _section(tag: str, about: str, document: Schema) -> str:
    found = [
        (method, path, item[method])
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item
    ]
    own = [row for row in found if tag in row[2].get("tags", ()) and not row[1].startswith(_TWIN)]
    shown = "".join(_operation(*row) for row in own)
    if tag == "users":
        shown += _twins([(method, path) for method, path, _ in found if path.startswith(_TWIN)])
    return f"<h2 id='{escape(tag)}'>{escape(tag)}</h2><p>{words(about)}</p>{shown}"


def _twins(rows: list[tuple[str, str]]) -> str:
    """List a user's routes once more, which your own backend asks with the user in the path."""
    ways = "".join(f"<tr><td>{_way(method)}<td><code>{escape(path)}</code>" for method, path in rows)
    return (
        "<details><summary><code>/users/{user_id}/…</code><span class=about>Every route of a user's, for your own "
        f"backend: it takes and answers the same</span></summary><table>{ways}</table></details>"
    )


def _way(method: str) -> str:
    return f"<span class='way {method}'>{method.upper()}</span>"


def _operation(method: str, path: str, operation: Schema) -> str:
    who = ", ".join(name for needed in operation.get("security", ()) for name in needed) or "anyone"
    parameters = "".join(
        _row(p["name"], p.get("schema", {}), p, p.get("required")) for p in operation.get("parameters", ())
    )
    body: Schema = operation.get("requestBody", {})
    takes = "".join(
        f"<h4>Body{'' if body.get('required') else ', may be left out'}</h4><p>{_type(content.get('schema', {}))}</p>"
        for content in body.get("content", {}).values()
    )
    good = "".join(_answer(status, answer) for status, answer in operation["responses"].items() if status < "4")
    return (
        f"<details id='{escape(operation['operationId'])}'><summary><span class=who>{escape(who)}</span>{_way(method)}"
        f"<code>{escape(path)}</code><span class=about>{words(operation.get('summary', ''))}</span></summary>"
        f"<p>{words(operation.get('description', ''))}</p>"
        f"{f'<h4>Parameters</h4><table>{parameters}</table>' if parameters else ''}{takes}"
        f"<h4>Answers</h4>{good}{_problems(operation['responses'])}</details>"
    )


def _answer(status: str, answer: Schema) -> str:
    body = ""
    for media_type, content in answer.get("content", {}).items():
        shown = [example["value"] for example in content.get("examples", {}).values() if "value" in example]
        body += f"<p><code>{escape(media_type)}</code> {_type(content.get('schema', {}))}</p>"
        body += "".join(_json(value) for value in shown)
    summary = f"<summary><code>{escape(status)}</code> {words(answer.get('description', ''))}</summary>"
    return f"<details>{summary}{body}</details>"


def _problems(responses: Schema) -> str:
    """List the codes that an operation may refuse with, each with its words."""
    rows = "".join(
        f"<tr><td><code>{escape(status)}</code><td><code>{escape(name)}</code><td>{words(example.get('summary') or '')}"
        for status, answer in responses.items()
        if status >= "4"
        for content in answer.get("content", {}).values()
        for name, example in content.get("examples", {}).items()
    )
    return f"<h4>Problems, by their <code>code</code></h4><table>{rows}</table>" if rows else ""


def _fields(shape: Schema) -> str:
    """Show a shape as a table of its fields, or as what it is where it has none."""
    properties: Schema = shape.get("properties", {})
    if not properties:
        return f"<p>{_type(shape)}</p>"
    needed = set(shape.get("required", ()))
    rows = "".join(_row(name, part, part, name in needed) for name, part in properties.items())
    return f"<table>{rows}</table>"


def _row(name: str, schema: Schema, about: Schema, needed: Any) -> str:
    mark = "" if needed else " <span class=maybe>optional</span>"
    given = f" Default: <code>{escape(json.dumps(schema['default']))}</code>." if "default" in schema else ""
    return (
        f"<tr><td><code>{escape(name)}</code>{mark}<td>{_type(schema)}<td>{words(about.get('description', ''))}{given}"
    )


def _type(schema: Schema) -> str:
    """Name a type in words: a link to a shape, the values of an enum, or a plain kind with its bounds."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"<a href='#{escape(name)}'>{escape(_short(name))}</a>"
    if "enum" in schema:
        return ", ".join(f"<code>{escape(json.dumps(value))}</code>" for value in schema["enum"])
    for word in ("oneOf", "anyOf"):
        if word in schema:
            return " or ".join(_type(part) for part in schema[word])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    bounds = [f"{schema[key]:g}" for key in ("minimum", "maximum", "minLength", "maxLength") if key in schema]
    kind = str(schema.get("format") or schema.get("type") or "anything")
    return escape(kind) + (f" ({escape(' to '.join(bounds))})" if bounds else "")


def _short(name: str) -> str:
    return name.rpartition(".")[2].rpartition("_")[2] or name


def _json(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
