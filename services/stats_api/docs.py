"""`/docs`: the OpenAPI document as one page of plain HTML. No script, and nothing from anywhere else."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import FastAPI, Response

_STYLE = (Path(__file__).parent / "docs.css").read_text()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_GUARDED = " Where API keys are set, one is wanted in <code>X-API-Key</code> or <code>Authorization: Bearer</code>."

Node = Mapping[str, Any]
"""A part of an OpenAPI document."""


def install(app: FastAPI) -> None:
    """Serve the page at `/docs`."""

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "max-age=60"}
        return Response(page(app.openapi()), media_type="text/html; charset=utf-8", headers=headers)


def page(document: Node) -> str:
    """An OpenAPI document → HTML. Every text of it is escaped."""
    operations: dict[str, list[tuple[str, str, Node]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            operations.setdefault(operation["tags"][0], []).append((method, path, operation))
    contents = "".join(
        f"<li><a href='#{_anchor(method, path)}'><b>{method.upper()}</b> <code>{escape(path)}</code></a> "
        f"{escape(operation['summary'])}</li>"
        for group in operations.values()
        for method, path, operation in group
    )
    sections = "".join(
        f"<h2>{escape(tag.capitalize())}</h2>{''.join(_operation(document, *entry) for entry in group)}"
        for tag, group in operations.items()
    )
    info = document["info"]
    return (
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])} "
        "The same for machines: <a href='openapi.json'>openapi.json</a>.</p>"
        f"<nav><ul>{contents}</ul></nav>{sections}</main></body></html>"
    )


def _operation(document: Node, method: str, path: str, operation: Node) -> str:
    return (
        f"<section id='{_anchor(method, path)}'><h3><span class='{method}'>{method.upper()}</span> "
        f"<code>{escape(path)}</code></h3><p><b>{escape(operation['summary'])}.</b> "
        f"{_text(operation.get('description', ''))}{_GUARDED if 'security' in operation else ''}</p>"
        f"{_example(method, path, operation)}"
        f"{_parameters(document, operation.get('parameters', ()))}"
        f"{_body(operation.get('requestBody'))}"
        f"{_responses(document, operation['responses'])}</section>"
    )


def _example(method: str, path: str, operation: Node) -> str:
    """A link that asks, where all that is required has an example."""
    required = [parameter for parameter in operation.get("parameters", ()) if parameter["required"]]
    examples = {(parameter["in"], parameter["name"]): _example_of(parameter) for parameter in required}
    if method != "get" or "/collect" in path or None in examples.values():
        return ""
    filled = re.sub(r"{(\w+)}", lambda match: quote(str(examples["path", match[1]]), safe=""), path)
    query = urlencode({name: value for (place, name), value in examples.items() if place == "query"}, safe="/")
    address = escape(filled.lstrip("/") + (f"?{query}" if query else ""), quote=True)
    return f"<p class='try'>Try it: <a href='{address}'>/{address}</a></p>"


def _example_of(node: Node) -> Any:
    examples = node.get("examples") or node["schema"].get("examples") or [None]
    return examples[0]


def _parameters(document: Node, parameters: Sequence[Node]) -> str:
    rows = [
        (
            f"<code>{escape(parameter['name'])}</code>{' <i>required</i>' if parameter['required'] else ''}",
            escape(f"{_type(document, parameter['schema'])}, in the {parameter['in']}"),
            _text(parameter.get("description", "")),
        )
        for parameter in parameters
    ]
    return _table("Parameters", rows)


def _body(body: Node | None) -> str:
    if body is None:
        return ""
    [event, many] = next(iter(body["content"].values()))["schema"]["oneOf"]
    rows = [
        (
            f"<code>{escape(name)}</code>{' <i>required</i>' if name in event['required'] else ''}",
            escape(_kind(field["type"])),
            _text(field.get("description", "")),
        )
        for name, field in event["properties"].items()
    ]
    kinds = " or ".join(f"<code>{escape(kind)}</code>" for kind in body["content"])
    about = f"{_text(event['description'])}. At most {many['maxItems']} in an array. Sent as {kinds}."
    return _table("An event", rows) + f"<p>{about}</p>"


def _responses(document: Node, responses: Node) -> str:
    rows = []
    for status, response in sorted(responses.items()):
        content: Node = response.get("content", {})
        kinds = ", ".join(content) or "no body"
        fields = [
            line
            for kind, medium in content.items()
            if not kind.endswith("problem+json")
            for line in _fields(document, medium.get("schema", {}))
        ]
        told = f"<ul>{''.join(f'<li>{line}</li>' for line in fields)}</ul>" if fields else ""
        rows.append((f"<b>{escape(status)}</b>", escape(kinds), _text(response["description"]) + told))
    return _table("Answers", rows)


def _fields(document: Node, schema: Node) -> Iterator[str]:
    for name, field in _resolved(document, schema).get("properties", {}).items():
        about = _text(field.get("description", ""))
        yield f"<code>{escape(name)}</code> {escape(_type(document, field))}{' – ' if about else ''}{about}"


def _type(document: Node, schema: Node) -> str:
    """`integer, 1 to 500, default 10` in words."""
    schema = {**_resolved(document, schema), **schema}
    if options := schema.get("anyOf"):
        kinds = [_type(document, option) for option in options]
        return " or ".join(kinds)
    if "items" in schema:
        inner = ", ".join(_resolved(document, schema["items"]).get("properties", {}))
        return f"list of {{{inner}}}" if inner else "list"
    words = " | ".join(map(str, schema["enum"])) if "enum" in schema else _kind(schema.get("type", "any"))
    if "minimum" in schema:
        words += f", {schema['minimum']} to {schema['maximum']}"
    if "pattern" in schema:
        words += f" like {schema['pattern']}"
    if schema.get("default") is not None:
        words += f", default {schema['default']}"
    return words


def _kind(kind: str | Sequence[str]) -> str:
    return kind if isinstance(kind, str) else " or ".join(kind)


def _resolved(document: Node, schema: Node) -> Node:
    if "$ref" not in schema:
        return schema
    found: Node = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return found


def _table(title: str, rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{title}</caption>{lines}</table>"


def _text(text: str) -> str:
    """Escaped; what stands in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _anchor(method: str, path: str) -> str:
    return f"{method}{re.sub(r'[^a-z0-9]+', '-', path)}"
