"""The OpenAPI document, and it as a page that needs no internet and no script: plain HTML, made once.

Litestar's own pages load their programs from a CDN.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any, Final

from litestar import Request
from litestar.enums import MediaType
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.serialization import encode_json

from interlock.engine import diagram

_METHODS: Final = ("get", "post", "put", "patch", "delete")
_STYLE: Final = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--key:#3b6fd4}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1.5rem}
h1{margin:0}h2{margin:2.5rem 0 .5rem;border-bottom:1px solid var(--line)}p{margin:.4rem 0}
details{border:1px solid var(--line);border-radius:.5rem;margin:.5rem 0;padding:.5rem .8rem}
summary{cursor:pointer}summary b{color:var(--key);display:inline-block;min-width:3.5rem}
summary span{opacity:.75;margin-left:.6rem}details details{background:var(--soft)}
code,pre{font:.86rem/1.45 ui-monospace,monospace}pre{overflow:auto;background:var(--soft);padding:.7rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .6rem;border-top:1px solid var(--line)}
"""


class Document(OpenAPIRenderPlugin):
    """The document itself."""

    def __init__(self) -> None:
        super().__init__(path="/openapi.json", media_type=MediaType.JSON)
        self._body = b""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        if not self._body:
            self._body = encode_json(openapi_schema)
        return self._body


class SchemaPage(OpenAPIRenderPlugin):
    """Renders the document at the schema's root."""

    def __init__(self) -> None:
        super().__init__(path="/")
        self._page: dict[str, bytes] = {}

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        # Relative, so that it holds under any prefix: seen from /schema, or from /schema/.
        slashed = request.scope["raw_path"].endswith(b"/")
        link = "openapi.json" if slashed else "schema/openapi.json"
        if link not in self._page:
            document: dict[str, Any] = json.loads(encode_json(openapi_schema))
            self._page[link] = _page(document, link).encode()
        return self._page[link]


def _page(document: dict[str, Any], link: str) -> str:
    info = document["info"]
    title = escape(f"{info['title']} {info['version']}")
    tags = {tag["name"]: tag.get("description", "") for tag in document.get("tags", ())}
    sections = "".join(_section(name, about, document) for name, about in tags.items())
    shapes = "".join(
        f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary>{_json(shape)}</details>"
        for name, shape in sorted(document.get("components", {}).get("schemas", {}).items())
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{title}</title><link rel=icon href='{diagram.ICON}'><style>{_STYLE}</style>"
        f"<h1>{title}</h1><p>{words(info.get('description', ''))}</p>"
        f"<p><a href='{link}'>The OpenAPI {escape(document['openapi'])} document</a></p>"
        f"{sections}<h2>Shapes</h2>{shapes}</html>"
    )


def words(text: str) -> str:
    """Escape text of the document; what it has between backticks becomes code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _section(tag: str, about: str, document: dict[str, Any]) -> str:
    operations = "".join(
        _operation(method, path, item[method])
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item and tag in item[method].get("tags", ())
    )
    return f"<h2>{escape(tag)}</h2><p>{words(about)}</p>{operations}"


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    who = ", ".join(name for needed in operation.get("security", ()) for name in needed) or "anyone"
    parameters = "".join(
        f"<tr><td><code>{escape(p['name'])}</code><td>{escape(p['in'])}<td>{words(p.get('description', ''))}"
        for p in operation.get("parameters", ())
    )
    takes = "".join(
        f"<h4>Body</h4>{_json(content.get('schema', {}))}"
        for content in operation.get("requestBody", {}).get("content", {}).values()
    )
    gives = "".join(_answer(status, answer) for status, answer in operation["responses"].items())
    return (
        f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code>"
        f"<span>{words(operation.get('summary', ''))}</span></summary>"
        f"<p>{words(operation.get('description', ''))}</p><p>For: <code>{escape(who)}</code></p>"
        f"{f'<table>{parameters}</table>' if parameters else ''}{takes}{gives}</details>"
    )


def _answer(status: str, answer: dict[str, Any]) -> str:
    body = ""
    for media_type, content in answer.get("content", {}).items():
        shown = [example["value"] for example in content.get("examples", {}).values() if "value" in example]
        shown = shown or [content.get("schema", {})]
        body += f"<p><code>{escape(media_type)}</code></p>{''.join(_json(value) for value in shown)}"
    summary = f"<summary><code>{escape(status)}</code> {words(answer.get('description', ''))}</summary>"
    return f"<details>{summary}{body}</details>"


def _json(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
