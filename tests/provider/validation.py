"""Holds a request body against what the provider publishes about it (`specs/README.md`)."""

import functools
import json
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

SPECS = Path(__file__).parent / "specs"
REF = "#/components/schemas/"


class Form(StrEnum):
    """The three forms in which chat completions are asked for; the value is the file of the description."""

    OPENAI = "openai-chat.json"
    AZURE = "azure-chat.json"
    AZURE_V1 = "azure-v1-chat.json"


# Form: the schema of the body, the schema of a message.
SCHEMAS = {
    Form.OPENAI: ("CreateChatCompletionRequest", "ChatCompletionRequestMessage"),
    Form.AZURE: ("createChatCompletionRequest", "chatCompletionRequestMessage"),
    Form.AZURE_V1: ("AzureCreateChatCompletionRequest", "OpenAI.ChatCompletionRequestMessage"),
}


def violation(form: Form, body: object, also_allowed: Iterable[str] = ()) -> str | None:
    """What is wrong with the body in one line, or None. `also_allowed` are parameters that the description lacks, and
    fields of messages.
    """
    allowed = set(also_allowed)
    if isinstance(body, dict):
        body = {name: _without(value, allowed) for name, value in body.items() if name not in allowed}
    errors = list(validator(form).iter_errors(body))
    # Whatever is wrong inside a property also leaves that property unevaluated, which says less.
    error = best_match([error for error in errors if error.validator != "unevaluatedProperties"] or errors)
    return f"{error.json_path}: {error.message}" if error else None


def _without(messages: Any, names: set[str]) -> Any:
    """The list with these names left out of the objects in it; any other value as it is."""
    if not names or not isinstance(messages, list):
        return messages
    return [
        {name: value for name, value in each.items() if name not in names} if isinstance(each, dict) else each
        for each in messages
    ]


@functools.cache
def validator(form: Form) -> Any:
    components = json.loads((SPECS / form).read_text(encoding="utf-8"))["components"]
    enforce_discriminators(components["schemas"])
    request, message = SCHEMAS[form]
    properties: dict[str, Any] = {"messages": {"items": {"$ref": REF + message, "unevaluatedProperties": False}}}
    if form is Form.AZURE:
        # The dated service takes the model from the address and accepts one in the body, which clients send.
        properties["model"] = {"type": "string"}
    # The descriptions leave unknown fields open. What no part of them describes is "unevaluated" and refused here.
    schema = {"$ref": REF + request, "properties": properties, "unevaluatedProperties": False, "components": components}
    return Draft202012Validator(schema)


def enforce_discriminators(schemas: dict[str, Any]) -> None:
    """Spell out `discriminator` with a mapping, which means nothing to JSON Schema.

    There, the base type (role) is what others refer to, and each subtype (a user message) includes its base. So the
    base is put aside under another name for its subtypes to include, and its own name comes to mean: one of them.
    """
    for name in [name for name, schema in schemas.items() if "mapping" in schema.get("discriminator", {})]:
        base = schemas[name]
        discriminator = base["discriminator"]
        schemas[f"{name}Base"] = base
        for subtype in discriminator["mapping"].values():
            for part in schemas[subtype.removeprefix(REF)].get("allOf", []):
                if part.get("$ref") == REF + name:
                    part["$ref"] += "Base"
        schemas[name] = {
            "$ref": f"{REF}{name}Base",
            "allOf": [
                {
                    "if": {"properties": {discriminator["propertyName"]: {"const": value}}},
                    "then": {"$ref": subtype},
                }
                for value, subtype in discriminator["mapping"].items()
            ],
        }
