"""What only 2026-07-28 knows: kinds of results, and questions inside of them (mcp-wire §3.3)."""

import json
from collections.abc import Callable, Iterable

from tests.wire.parts import TEXT, Ask, Shape, Step, event, http, said, stream

STATE = 'v1.é+/=%20"\\"'


def plain(members: bytes) -> Callable[[Ask], list[Step]]:
    return lambda ask: [http(b'{"jsonrpc":"2.0","id":%s,"result":{%s}}' % (ask.id, members))]


def input_required(requests: bytes, state: str | None = STATE) -> Callable[[Ask], Iterable[Step]]:
    """The first round asks; the second tells what came back."""

    def steps(ask: Ask) -> list[Step]:
        back = {name: ask.params[name] for name in ("inputResponses", "requestState") if name in ask.params}
        if back:
            return [http(said(ask, json.dumps(json.dumps(back, sort_keys=True)).encode()[1:-1]))]
        more = b',"requestState":' + json.dumps(state, ensure_ascii=False).encode() if state is not None else b""
        asked = b',"inputRequests":{%s}' % requests if requests else b""
        return plain(b'"resultType":"input_required"' + asked + more)(ask)

    return steps


ELICIT = (
    b'"name":{"method":"elicitation/create","params":{"mode":"form","message":"Name?","requestedSchema":'
    b'{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}}}'
)
SAMPLE = (
    b'"poem":{"method":"sampling/createMessage","params":{"maxTokens":5,"messages":'
    b'[{"role":"user","content":{"type":"text","text":"hi"}}]}}'
)

RESULTS: dict[str, Callable[[Ask], Iterable[Step]]] = {
    "type-missing": plain(TEXT),
    "type-unknown": plain(b'"resultType":"partial",' + TEXT),
    "type-null": plain(b'"resultType":null,' + TEXT),
    "type-number": plain(b'"resultType":1,' + TEXT),
    "type-task": plain(b'"resultType":"task","task":{"taskId":"t1","status":"working","ttlMs":1000}'),
    "type-last": plain(TEXT + b',"resultType":"complete"'),
    "type-escaped": plain(b'"resultType":"c\\u006fmplete",' + TEXT),
    "type-complete-with-requests": plain(b'"resultType":"complete","inputRequests":{%s},' % ELICIT + TEXT),
    "server-info": plain(
        b'"resultType":"complete",' + TEXT + b',"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"w","version":"1"}}'
    ),
    "input-elicitation": input_required(ELICIT),
    "input-elicitation-no-state": input_required(ELICIT, None),
    "input-two": input_required(ELICIT + b"," + SAMPLE),
    "input-roots": input_required(b'"r":{"method":"roots/list","params":{}}'),
    "input-state-only": input_required(b""),
    "input-nothing": plain(b'"resultType":"input_required"'),
    "input-unknown-method": input_required(b'"x":{"method":"com.example/x","params":{}}'),
    "input-in-stream": lambda a: stream(
        event(bytes(next(iter(input_required(ELICIT)(a)))).split(b"\r\n\r\n", 1)[1])  # type: ignore[arg-type]
    ),
}

SHAPES = [Shape(f"modern-{name}", steps, eras=("modern",)) for name, steps in RESULTS.items()]
