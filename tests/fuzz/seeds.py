"""Where fuzzing starts from: small messages of every kind in many layouts, and recordings of real traffic."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.play import aws_key

SEED_BYTES_MAX: Final = 1200
"""Longer recordings are left out: small inputs reach as much code and run much faster."""

_CALL: Final = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get","arguments":{"text":"KEY","n":1.50}}}'
_RESULT: Final = (
    '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"KEY"}],"structuredContent":{"k":"HIDDEN"}}}'
)
_TEXTS: Final = (
    _CALL.replace("KEY", "hi"),
    _CALL,
    _CALL.replace("KEY", "HIDDEN").replace('"id":1', '"id":"1"'),
    _CALL.replace('"id":1', '"id":1e0'),
    _RESULT.replace("KEY", "hi").replace("HIDDEN", "x"),
    _RESULT,
    _RESULT.replace("KEY", "HIDDEN").replace('"id":1', '"id":"1"'),
    _RESULT.replace('"id":1', '"id":null'),
    f"[{_CALL},{_CALL.replace('KEY', 'hi').replace('1', '2', 1)}]",
    f"[{_RESULT},{_RESULT}]",
    '{"jsonrpc":"2.0","id":1,"result":{"t":"HIDDEN"},"result":{"t":"x"}}',
    '{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"KEY","data":{"KEY":1}}}',
    '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"HIDDEN"}}',
    '{"jsonrpc":"2.0","id":4,"method":"elicitation/create","params":{"message":"KEY"}}',
    '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"HIDDEN"}}',
    '{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","requestState":"KEY"}}',
    '{"jsonrpc":"2.0","id":1,"result":{"n":[1e400,-0.0,1.0000000000000000001,' + "9" * 40 + '],"t":"KEY"}}',
    '{"jsonrpc":"2.0","id":1,"result":{"n":NaN,"t":"KEY","s":"\\ud800 HIDDEN"}}',
    '{"jsonrpc":"2.0","id":1,"result":' + "[" * 100 + '"HIDDEN"' + "]" * 100 + "}",
    '{"jsonrpc":"2.0","id":1,"result":{"text":"{\\"inner\\": \\"KEY\\"}"}}',
    '{\n "jsonrpc": "2.0",\n "id": 1,\n "result": {\n  "text": "é€😀 KEY"\n }\n}',
    "<h1>Bad gateway</h1> KEY",
)
"""``KEY`` stands for a value that policies withhold, ``HIDDEN`` for the same as JSON escapes."""

_STREAMS: Final = (
    f"event: message\r\ndata: {_RESULT}\r\n\r\n",
    f"id: 1\nretry: 100\ndata:\n\nid: 2\nevent: message\ndata: {_RESULT}\n\n",
    f": ping\n\ndata: {_RESULT}\n\n",
    "\ufeffdata: " + _RESULT.replace(",", ",\ndata: ") + "\n\n",
    f"data: x\r\rdata: {_RESULT}\r\r",
    f"event: endpoint\ndata: /message?sessionId=7\n\nevent: message\ndata: {_RESULT}\n\n",
    f"event: other\ndata: {_RESULT}\n\ndata: {{}}\n\ndata: [{_RESULT},{_RESULT}]\n\n",
    f"id: 1\u2028data: {_RESULT}\n\n",
)

HEADS: Final = (
    b"POST /mcp HTTP/1.1\r\nHost: a:1\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\ntrue",
    b"GET /sse?x=1 HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\nlast-event-id: 7\r\nConnection: close\r\n\r\n",
    b"DELETE /mcp HTTP/1.1\r\nHost:a\r\nMcp-Session-Id: 1\r\nX-Y: \x80 z \t\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
)
"""Heads of requests."""


def messages() -> list[bytes]:
    """Messages of both directions; most hold a value that policies withhold, spelt in several ways."""
    return [_filled(text) for text in _TEXTS]


def streams() -> list[bytes]:
    """Event streams of such messages in several layouts."""
    return [_filled(text) for text in _STREAMS]


def recorded(folder: Path) -> Iterator[bytes]:
    """Messages and streams out of recordings: JSON files in which ``json`` is a message, ``text`` or ``data`` its bytes."""
    for file in sorted(folder.glob("*.json")):
        yield from (each for each in _parts(json.loads(file.read_text())) if len(each) <= SEED_BYTES_MAX)


def _filled(text: str) -> bytes:
    hidden = "".join(f"\\u{ord(each):04x}" for each in aws_key())
    return text.replace("KEY", aws_key()).replace("HIDDEN", hidden).encode()


def _parts(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "json":
                yield json.dumps(inner, separators=(",", ":")).encode()
            elif key in ("text", "data") and isinstance(inner, str) and inner:
                yield inner.encode()
            yield from _parts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _parts(inner)
