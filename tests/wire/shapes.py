"""Every named response shape of the wire fixture."""

import json
from collections.abc import Callable, Iterable

from tests.wire import bodies, events, heads, modern
from tests.wire.parts import TEXT, Ask, Shape, Step, http, reply

SCHEMA = {"type": "object", "properties": {"n": {"type": "number", "minimum": 0}}, "required": ["n"]}


def checked(name: str, members: bytes) -> Shape:
    """A result of a tool that has an ``outputSchema``, which clients check."""
    return Shape(f"schema-{name}", lambda ask: [http(reply(ask, members))], schema=SCHEMA)


CHECKED = [
    checked("kept", TEXT + b',"structuredContent":{"n":1.50}'),
    checked("broken", TEXT + b',"structuredContent":{"n":"one"}'),
    checked("missing", TEXT),
    checked("is-error", TEXT + b',"isError":true'),
    checked("is-error-broken", TEXT + b',"isError":true,"structuredContent":{"n":"one"}'),
    checked("huge-number", TEXT + b',"structuredContent":{"n":1e400}'),
]


def _alone(body: Callable[[Ask], bytes]) -> Callable[[Ask], Iterable[Step]]:
    """An answer that is one JSON body."""
    return lambda ask: [http(body(ask))]


SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in [
        *(Shape(f"json-{name}", _alone(body), is_silent=name in bodies.SILENT) for name, body in bodies.BODIES.items()),
        *heads.SHAPES,
        *events.SHAPES,
        *CHECKED,
        *modern.SHAPES,
    ]
}


def tools() -> bytes:
    """The fixture's list of tools: one for each shape, so that no client asks for the list again."""
    listed = [
        {"name": shape.name, "inputSchema": {"type": "object"}} | ({"outputSchema": shape.schema} if shape.schema else {})
        for shape in SHAPES.values()
    ]
    return json.dumps(listed).encode()


def ask_of(name: str, rpc_id: bytes, is_modern: bool = False) -> Ask:
    """A call of a shape's tool."""
    return Ask(rpc_id, name, is_modern)
