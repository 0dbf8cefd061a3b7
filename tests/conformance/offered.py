"""What the fixture server of the conformance suite offers, as data: the names, schemas and contents the suite asks for."""

from typing import Any

NOTHING: dict[str, Any] = {"type": "object", "properties": {}}


def takes(**properties: str) -> dict[str, Any]:
    """An input schema with these properties, all of them required, each with its description."""
    described = {name: {"type": "string", "description": text} for name, text in properties.items()}
    return {"type": "object", "properties": described, "required": list(properties)}


def form(**properties: Any) -> dict[str, Any]:
    """The schema of a form in which every field must be filled in."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def asks_person(message: str, **properties: Any) -> dict[str, Any]:
    """An embedded request for a person's input (2026-07-28)."""
    params = {"mode": "form", "message": message, "requestedSchema": form(**properties)}
    return {"method": "elicitation/create", "params": params}


def asks_model(text: str, tokens_max: int = 100) -> dict[str, Any]:
    """An embedded request to the client's model (2026-07-28)."""
    said = [{"role": "user", "content": {"type": "text", "text": text}}]
    return {"method": "sampling/createMessage", "params": {"messages": said, "maxTokens": tokens_max}}


ASKS_ROOTS: dict[str, Any] = {"method": "roots/list", "params": {}}

# One red dot, and an eighth of a millisecond of silence.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQIAAACAgAA="

TEXT: dict[str, Any] = {"type": "text", "text": "A plain answer."}
IMAGE: dict[str, Any] = {"type": "image", "data": PNG, "mimeType": "image/png"}
AUDIO: dict[str, Any] = {"type": "audio", "data": WAV, "mimeType": "audio/wav"}


def embedded(uri: str, text: str, mime_type: str = "text/plain") -> dict[str, Any]:
    """A content block with a resource in it."""
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": text}}


NAME = {"type": "string"}
WITH_DEFAULTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
}
TITLED = [{"const": f"value{number}", "title": f"Choice {number}"} for number in (1, 2, 3)]
WITH_CHOICES: dict[str, Any] = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": TITLED},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option one", "Option two"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
        "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
    },
}
ACCOUNT = {"username": {"type": "string"}, "email": {"type": "string"}}

# SEP-1613 and SEP-2106: keywords beyond the plain ones reach the client as the server wrote them.
SCHEMA_2020_12: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {"$anchor": "addressDef", "type": "object", "properties": {"street": NAME, "city": NAME}},
    },
    "properties": {
        "name": NAME,
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": NAME,
        "email": NAME,
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
# SEP-2243: this argument travels in a header too.
IN_HEADER: dict[str, Any] = {
    "type": "object",
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    "required": ["region"],
}

# Tools whose answer never changes.
CONSTANT: dict[str, list[dict[str, Any]]] = {
    "test_simple_text": [TEXT],
    "test_image_content": [IMAGE],
    "test_audio_content": [AUDIO],
    "test_embedded_resource": [embedded("test://embedded", "What stands in the resource.")],
    "test_multiple_content_types": [TEXT, IMAGE, embedded("test://mixed", '{"a": 1}', "application/json")],
    "test_custom_header": [TEXT],
    "json_schema_2020_12_tool": [TEXT],
}

# What each tool needs before it can answer (2026-07-28), and what it says then.
NEEDS: dict[str, dict[str, Any]] = {
    "test_input_required_result_elicitation": {"user_name": asks_person("What is your name?", name=NAME)},
    "test_input_required_result_sampling": {"capital_question": asks_model("What is the capital of France?")},
    "test_input_required_result_list_roots": {"client_roots": ASKS_ROOTS},
    "test_input_required_result_request_state": {"confirm": asks_person("Please confirm", ok={"type": "boolean"})},
    "test_input_required_result_tampered_state": {"confirm": asks_person("Please confirm", ok={"type": "boolean"})},
    "test_input_required_result_multiple_inputs": {
        "user_name": asks_person("What is your name?", name=NAME),
        "greeting": asks_model("Generate a greeting", 50),
        "client_roots": ASKS_ROOTS,
    },
    "test_input_required_result_capabilities": {
        "person": asks_person("What is your name?", name=NAME),
        "model": asks_model("Say a word", 10),
    },
    "test_streaming_elicitation": {"user_name": asks_person("What is your name?", name=NAME)},
}
STEPS: list[dict[str, Any]] = [
    {"step1": asks_person("Step 1: what is your name?", name=NAME)},
    {"step2": asks_person("Step 2: what is your favourite colour?", color=NAME)},
]
PROMPT_NEEDS = {"user_context": asks_person("Which context shall the prompt use?", context=NAME)}

SCHEMAS: dict[str, dict[str, Any]] = {
    "test_custom_header": IN_HEADER,
    "json_schema_2020_12_tool": SCHEMA_2020_12,
    "test_sampling": takes(prompt="What to ask the model"),
    "test_elicitation": takes(message="What to show to the person"),
}

RESOURCES: list[dict[str, Any]] = [
    {"uri": "test://static-text", "name": "text", "description": "A text", "mimeType": "text/plain"},
    {"uri": "test://static-binary", "name": "picture", "description": "A picture", "mimeType": "image/png"},
    {"uri": "test://watched-resource", "name": "watched", "description": "It may change", "mimeType": "text/plain"},
]
TEMPLATES: list[dict[str, Any]] = [
    {"uriTemplate": "test://template/{id}/data", "name": "data", "description": "By id", "mimeType": "application/json"}
]
CONTENTS: dict[str, dict[str, Any]] = {
    "test://static-text": {"mimeType": "text/plain", "text": "What stands in the text."},
    "test://static-binary": {"mimeType": "image/png", "blob": PNG},
    "test://watched-resource": {"mimeType": "text/plain", "text": "As it is now."},
}

PROMPTS: list[dict[str, Any]] = [
    {"name": "test_simple_prompt", "description": "Without arguments"},
    {
        "name": "test_prompt_with_arguments",
        "description": "With two arguments",
        "arguments": [
            {"name": "arg1", "description": "The first", "required": True},
            {"name": "arg2", "description": "The second", "required": True},
        ],
    },
    {
        "name": "test_prompt_with_embedded_resource",
        "description": "With a resource in it",
        "arguments": [{"name": "resourceUri", "description": "Which resource", "required": True}],
    },
    {"name": "test_prompt_with_image", "description": "With a picture in it"},
    {"name": "test_input_required_result_prompt", "description": "Asks a person first"},
]
