"""The TypeScript client: types made from the OpenAPI document, and `client.ts`, which is the same for every service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

Schema: TypeAlias = dict[str, Any]
CODE: Final = (Path(__file__).parent / "client.ts").read_text("utf-8")
_PLAIN: Final = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_JSON: Final = "application/json"


def client_of(document: Schema, prefix: str = "") -> str:
    """Return one TypeScript file for the operations of a document that lie under a path prefix.

    Operations that answer no JSON (pictures, pages, streams) are left out.
    """
    schemas: Schema = document.get("components", {}).get("schemas", {})
    operations = [
        (path.removeprefix(prefix), method.upper(), operation)
        for path, item in sorted(document["paths"].items())
        if path.startswith(prefix + "/")
        for method, operation in item.items()
        if _answer(operation) is not None and {"stripe": []} not in operation.get("security", ())
    ]
    used = _reached([operation for _, _, operation in operations], schemas)
    types = "\n\n".join(_declaration(name, schemas[name]) for name in sorted(used))
    rows = "\n".join(_operation(operation) for _, _, operation in operations)
    ways = "\n".join(f'  {o["operationId"]}: ["{method}", {json.dumps(path)}],' for path, method, o in operations)
    return (
        f"{CODE}\n{types}\n\nexport interface Operations {{\n{rows}\n}}\n\n"
        f"const OPERATIONS: {{ readonly [O in Operation]: readonly [string, string] }} = {{\n{ways}\n}};\n"
    )


def _answer(operation: Schema) -> str | None:
    """Return the type of an operation's good answers, None where they are no JSON."""
    found: list[str] = []
    for status, answer in operation["responses"].items():
        content: Schema = answer.get("content", {})
        if status == "204":
            found.append("undefined")
        elif status.startswith("2") and _JSON in content:
            found.append(_type(content[_JSON]["schema"]))
    return " | ".join(sorted(set(found))) or None


def _operation(operation: Schema) -> str:
    asked = [
        _group(where, [p for p in operation.get("parameters", ()) if p["in"] == where]) for where in ("path", "query")
    ]
    body: Schema = operation.get("requestBody", {})
    if _JSON in body.get("content", {}):
        optional = "" if body.get("required") else "?"
        asked.append(f"body{optional}: {_type(body['content'][_JSON]['schema'])}")
    wanted = "; ".join(part for part in asked if part)
    return f"  {operation['operationId']}: {{ asked: {{ {wanted} }}; answer: {_answer(operation)} }};"


def _group(where: str, parameters: list[Schema]) -> str:
    if not parameters:
        return ""
    needed = any(parameter.get("required") for parameter in parameters)
    members = "; ".join(
        f"{parameter['name']}{'' if parameter.get('required') else '?'}: {_type(parameter['schema'])}"
        for parameter in parameters
    )
    return f"{where}{'' if needed else '?'}: {{ {members} }}"


def _declaration(name: str, schema: Schema) -> str:
    words = schema.get("description")
    comment = f"/** {' '.join(words.split())} */\n" if words else ""
    return f"{comment}export type {_name(name)} = {_type(schema, indent='  ')};"


def _type(schema: Schema, indent: str = "") -> str:
    if "$ref" in schema:
        return _name(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " | ".join(dict.fromkeys(_type(part, indent) for part in schema[word]))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_type(schema | {"type": each}, indent) for each in cast("list[str]", kind))
    if kind == "array":
        return f"({_type(schema.get('items', {}), indent)})[]"
    if kind == "object" or "properties" in schema:
        return _object(schema, indent)
    return _PLAIN.get(str(kind), "unknown")


def _object(schema: Schema, indent: str) -> str:
    properties: Schema = schema.get("properties", {})
    if not properties:
        more = schema.get("additionalProperties")
        return f"Record<string, {_type(cast('Schema', more))}>" if isinstance(more, dict) else "Record<string, unknown>"
    required = set(schema.get("required", ()))
    members = [
        f"{_key(name)}{'' if name in required else '?'}: {_type(part, indent + '  ')};"
        for name, part in properties.items()
    ]
    if not indent:
        return f"{{ {' '.join(members)} }}"
    inner = "\n".join(indent + member for member in members)
    return f"{{\n{inner}\n{indent[:-2]}}}"


def _key(name: str) -> str:
    return name if name.isidentifier() else json.dumps(name)


def _name(component: str) -> str:
    """Return a type's name: the last part of a component's, which may be dotted."""
    return "".join(letter for letter in component.rpartition(".")[2] if letter.isalnum() or letter == "_")


def _reached(parts: list[Schema], schemas: Schema) -> set[str]:
    """Return the names of all components that are named from here, directly or not; problems always."""
    found: set[str] = set()
    waiting: list[Any] = [*parts, {"$ref": "#/components/schemas/Problem"}]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting.extend(cast("list[Any]", part))
        elif isinstance(part, dict):
            given = cast("Schema", part)
            reference = given.get("$ref")
            if isinstance(reference, str) and (name := reference.rpartition("/")[2]) in schemas and name not in found:
                found.add(name)
                waiting.append(schemas[name])
            waiting.extend(given.values())
    return found
