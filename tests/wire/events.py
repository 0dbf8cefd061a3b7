"""Event streams: layouts, cuts, endings, what stands before the answer, and questions to the client (mcp-wire §5, §8)."""

import base64
import itertools
import json
import zlib
from collections.abc import Callable, Iterable

from tests.wire.bodies import BODIES, SILENT_IN_STREAM
from tests.wire.parts import (
    EVENT_STREAM,
    LAST,
    TEXT,
    Ask,
    Shape,
    Step,
    Wait,
    chunk,
    chunked,
    event,
    failure,
    http,
    notification,
    packed,
    reply,
    said,
    stream,
)

Steps = Callable[[Ask], Iterable[Step]]


def layout(made: Callable[[Ask], bytes]) -> Steps:
    """A whole stream in one chunk."""
    return lambda ask: stream(made(ask))


def cut(size: int, made: Callable[[Ask], bytes], pause_s: float = 0.0) -> Steps:
    """A stream in chunks of some bytes, each its own write."""

    def steps(ask: Ask) -> Iterable[Step]:
        data = made(ask)
        yield chunked(EVENT_STREAM)
        for start in range(0, len(data), size):
            yield chunk(data[start : start + size])
            if pause_s:
                yield pause_s
        yield LAST

    return steps


def before(*first: Callable[[Ask], bytes]) -> Steps:
    """Messages in events of their own, then the answer."""
    return lambda ask: stream(*[event(each(ask)) for each in first], event(reply(ask)))


def two_lines(ask: Ask) -> bytes:
    return reply(ask).replace(b",", b",\n", 1)


def wheels(ask: Ask) -> bytes:
    return event(said(ask, "é🚲\u2028字".encode() * 5), newline=b"\r\n")


def progress(ask: Ask, step: bytes = b"1") -> bytes:
    token = (ask.params.get("_meta") or {}).get("progressToken", "none")
    more = b'"progressToken":%s,"progress":%s,"total":10,"message":"m"' % (json.dumps(token).encode(), step)
    return notification(ask, b"notifications/progress", more)


def log(ask: Ask) -> bytes:
    return notification(ask, b"notifications/message", b'"level":"info","logger":"l","data":{"n":1.0}')


LAYOUTS: dict[str, Steps] = {
    "sse-lf": layout(lambda a: event(reply(a))),
    "sse-crlf": layout(lambda a: event(reply(a), newline=b"\r\n")),
    "sse-cr": layout(lambda a: event(reply(a), newline=b"\r")),
    "sse-mixed": layout(lambda a: b"event: message\r\ndata: " + reply(a) + b"\n\r\n"),
    "sse-lf-crlf-cr": layout(lambda a: b"event: message\ndata: " + two_lines(a).replace(b"\n", b"\r\ndata: ") + b"\r\r\n"),
    "sse-no-name": layout(lambda a: event(reply(a), name=b"")),
    "sse-multi-line": layout(lambda a: event(two_lines(a))),
    "sse-multi-line-apart": layout(lambda a: b"data: " + two_lines(a).replace(b"\n", b"\n: between\nid: 5\ndata:") + b"\n\n"),
    "sse-no-space": layout(lambda a: b"event:message\ndata:" + reply(a) + b"\n\n"),
    "sse-two-spaces": layout(lambda a: b"event: message\ndata:  " + reply(a) + b" \n\n"),
    "sse-name-last": layout(lambda a: b"data: " + reply(a) + b"\nevent: message\n\n"),
    "sse-name-twice": layout(lambda a: b"event: other\nevent: message\ndata: " + reply(a) + b"\n\n"),
    "sse-name-empty": layout(lambda a: b"event:\ndata: " + reply(a) + b"\n\n"),
    "sse-field-without-colon": layout(lambda a: b"data\nevent: message\ndata: " + reply(a) + b"\n\n"),
    "sse-field-unknown": layout(lambda a: event(reply(a), more=b"foo: bar\nDATA: x\n data: y\n")),
    "sse-comment-before": layout(lambda a: b": ping\n\n:\n\n" + event(reply(a))),
    "sse-comment-inside": layout(lambda a: event(reply(a), more=b": inside\n:\n")),
    "sse-comment-after": layout(lambda a: event(reply(a)) + b": bye\n\n"),
    "sse-blank-lines": layout(lambda a: b"\n\n\n\n" + event(reply(a)) + b"\n\n\n"),
    "sse-bom": layout(lambda a: b"\xef\xbb\xbf" + event(reply(a), name=b"")),
    "sse-bom-second": layout(lambda a: event(log(a)) + b"\xef\xbb\xbf" + event(reply(a), name=b"") + event(reply(a))),
    "sse-retry": layout(lambda a: event(reply(a), more=b"retry: 10\n")),
    "sse-retry-words": layout(lambda a: event(reply(a), more=b"retry: soon\n")),
    "sse-id": layout(lambda a: event(reply(a), more=b"id: 7\n")),
    "sse-id-empty": layout(lambda a: event(reply(a), more=b"id\n")),
    "sse-id-nul": layout(lambda a: event(reply(a), more=b"id: a\0b\n")),
    "sse-id-unicode": layout(lambda a: event(reply(a), more="id: é🚲\n".encode())),
    "sse-priming": layout(lambda a: b"id: p\nretry: 10\ndata:\n\n" + event(reply(a), more=b"id: q\n")),
    "sse-empty-data": layout(lambda a: b"data\n\ndata:\n\n" + event(reply(a))),
    "sse-unknown-before": layout(lambda a: event(b"hello", name=b"greeting") + event(reply(a))),
    "sse-unknown-json-before": layout(lambda a: event(b'{"x":1}', name=b"greeting") + event(reply(a))),
    "sse-unknown-carries": layout(lambda a: event(reply(a), name=b"answer")),
    "sse-name-capitals": layout(lambda a: event(reply(a), name=b"Message")),
    "sse-endpoint-before": layout(lambda a: event(b"/messages?sessionId=1", name=b"endpoint") + event(reply(a))),
    "sse-object-before": layout(lambda a: event(b"{}") + event(reply(a))),
    "sse-text-before": layout(lambda a: event(b"hello") + event(reply(a))),
    "sse-null-before": layout(lambda a: event(b"null") + event(reply(a))),
    "sse-wrong-id-before": layout(lambda a: event(reply(a).replace(b'"id":' + a.id, b'"id":987654')) + event(reply(a))),
    "sse-answer-twice": layout(lambda a: event(reply(a)) + event(said(a, b"second"))),
    "sse-error-after": layout(lambda a: event(reply(a)) + event(failure(a, b"-32000"))),
    "sse-after-error": layout(lambda a: event(failure(a, b"-32000")) + event(reply(a))),
    "sse-garbage-after": layout(lambda a: event(reply(a)) + b"garbage\n\n\xff\xfe"),
    "sse-batch": layout(lambda a: event(b"[" + log(a) + b"," + reply(a) + b"]")),
    "sse-empty": lambda _: stream(),
    "sse-only-comments": lambda _: stream(b": ping\n\n"),
    "sse-cut": layout(lambda a: event(reply(a))[:-1]),
    "sse-cut-crlf": layout(lambda a: event(reply(a), newline=b"\r\n")[:-2]),
    "sse-cut-in-json": layout(lambda a: event(reply(a))[:-20]),
}

CUTS: dict[str, Steps] = {
    "cut-1-byte": cut(1, wheels),
    "cut-1-byte-crlf": cut(1, lambda a: event(log(a), newline=b"\r\n") + event(reply(a), newline=b"\r\n")),
    "cut-2-bytes": cut(2, wheels),
    "cut-7-bytes-slow": cut(7, lambda a: event(log(a)) + event(reply(a)), pause_s=0.002),
    "cut-in-character": lambda a: [chunked(EVENT_STREAM), *_split(wheels(a), "🚲".encode(), 2), LAST],
    "cut-in-terminator": lambda a: [chunked(EVENT_STREAM), chunk(event(reply(a))[:-1]), 0.02, chunk(b"\n"), LAST],
    "cut-in-crlf": lambda a: [
        chunked(EVENT_STREAM),
        *(step for byte in (event(reply(a), newline=b"\r\n")[:-3], b"\r", b"\n", b"\r") for step in (chunk(byte), 0.01)),
        chunk(b"\n"),
        LAST,
    ],
    "cut-last-lf-late": lambda a: [
        chunked(EVENT_STREAM),
        chunk(event(reply(a), newline=b"\r\n")[:-1]),
        0.05,
        chunk(b"\n" + event(log(a))),
        LAST,
    ],
    "cut-five-in-one": layout(lambda a: b"".join(event(progress(a, b"%d" % i)) for i in range(1, 5)) + event(reply(a))),
    "cut-chunk-line": lambda a: [chunked(EVENT_STREAM), *_bytes(chunk(event(reply(a))), 9), LAST],
    "cut-end-late": lambda a: [chunked(EVENT_STREAM), chunk(event(reply(a))), 0.2, LAST],
    "cut-head-with-event": lambda a: [b"".join(step for step in stream(event(reply(a))) if isinstance(step, bytes))],
    "cut-pause-between": lambda a: stream(event(log(a)), 0.2, event(reply(a))),
}

HTTP: dict[str, Steps] = {
    "sse-length": lambda a: [http(event(reply(a)), EVENT_STREAM)],
    "sse-close": lambda a: [b"HTTP/1.1 200 OK\r\n" + EVENT_STREAM + b"connection: close\r\n\r\n" + event(reply(a)), "close"],
    "sse-http-1.0": lambda a: [b"HTTP/1.0 200 OK\r\n" + EVENT_STREAM + b"\r\n" + event(reply(a)), "close"],
    "sse-trailer": lambda a: [chunked(EVENT_STREAM), chunk(event(reply(a))), b"0\r\nx-sum: 1\r\n\r\n"],
    "sse-no-end": lambda a: [chunked(EVENT_STREAM), chunk(event(reply(a))), "close"],
    "sse-reset-after": lambda a: [chunked(EVENT_STREAM), chunk(event(reply(a))), 0.05, "abort"],
    "sse-reset-before": lambda a: [chunked(EVENT_STREAM), chunk(event(log(a))), 0.05, "abort"],
    "sse-closed-before": lambda a: [chunked(EVENT_STREAM), chunk(event(log(a))), "close"],
    "sse-length-cut": lambda a: [http(event(log(a)), EVENT_STREAM, length=5000), "close"],
    "sse-status-400": lambda a: [http(event(failure(a, b"-32000")), EVENT_STREAM, status=b"400 X")],
    "sse-status-202": lambda a: [http(event(reply(a)), EVENT_STREAM, status=b"202 Accepted")],
    "sse-gzip": lambda a: [http(packed(event(reply(a))), EVENT_STREAM + b"content-encoding: gzip\r\n")],
    "sse-gzip-flushed": lambda a: [
        chunked(EVENT_STREAM + b"content-encoding: gzip\r\n"), *_flushed([event(log(a)), event(reply(a))]), LAST,
    ],
    "sse-no-transform": lambda a: stream(
        event(reply(a)), head=EVENT_STREAM + b"cache-control: no-cache, no-transform\r\nx-accel-buffering: no\r\n"
    ),
}  # fmt: skip

FLOWS: dict[str, Steps] = {
    "first-progress": before(progress),
    "first-progress-500": lambda a: stream(*[event(progress(a, b"%d" % i)) for i in range(1, 501)], event(reply(a))),
    "first-progress-fraction": before(lambda a: progress(a, b"0.10"), lambda a: progress(a, b"1E0")),
    "first-progress-unknown-token": before(lambda a: progress(a).replace(b'"progressToken":', b'"progressToken":"t","x":')),
    "progress-after": lambda a: stream(event(reply(a)), event(progress(a))),
    "first-log": before(log),
    "first-log-and-progress": before(log, progress, log, progress),
    "first-list-changed": before(lambda a: notification(a, b"notifications/resources/list_changed")),
    "first-unknown-notification": before(lambda a: notification(a, b"notifications/com.example/x", b'"v":1.0')),
    "first-cancelled-unknown": before(lambda a: notification(a, b"notifications/cancelled", b'"requestId":"none"')),
    "event-1-mib-less-1": layout(lambda a: _event_of(a, (1 << 20) - 1)),
    "event-1-mib-plus-1": layout(lambda a: _event_of(a, (1 << 20) + 1)),
    "event-1.5-mib": layout(lambda a: _event_of(a, 3 << 19)),
    "event-1.5-mib-cut": cut(50_000, lambda a: _event_of(a, 3 << 19)),
    "event-1000-kib-unicode": layout(lambda a: event(said(a, "é".encode() * 500_000))),
    "event-9-mib": layout(lambda a: _event_of(a, 9 << 20)),
}


_numbers = itertools.count()


def asks(method: bytes, params: bytes) -> Steps:
    """The server asks the client, and its answer tells what the client answered."""

    def steps(ask: Ask) -> list[Step]:
        name = f"ask-{next(_numbers)}"
        more = b'%s"_meta":{"shape":"%s"}' % (params + b"," if params else b"", ask.name.encode())
        question = b'{"jsonrpc":"2.0","id":"%s","method":"%s","params":{%s}}' % (name.encode(), method, more)
        return stream(event(question), Wait(name), lambda done: event(_told(done, name)))

    return steps


QUESTIONS: dict[str, Steps] = {
    "asks-ping": asks(b"ping", b""),
    "asks-sampling": asks(
        b"sampling/createMessage",
        b'"maxTokens":5,"messages":[{"role":"user","content":{"type":"text","text":"caf\\u00e9"}}]',
    ),
    "asks-elicitation": asks(
        b"elicitation/create",
        b'"message":"Name?","requestedSchema":{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}',
    ),
    "asks-roots": asks(b"roots/list", b""),
    "asks-unknown-method": asks(b"com.example/x", b'"v":1.0'),
    "asks-broken-params": asks(b"sampling/createMessage", b'"maxTokens":"many"'),
}


def _told(ask: Ask, name: str) -> bytes:
    return said(ask, json.dumps(json.dumps(ask.answers.get(name), sort_keys=True)).encode()[1:-1])


def _split(data: bytes, at: bytes, inside: int) -> list[Step]:
    steps: list[Step] = []
    while (found := data.find(at)) >= 0:
        steps += [chunk(data[: found + inside]), 0.005]
        data = data[found + inside :]
    return [*steps, chunk(data)]


def _bytes(data: bytes, first: int) -> list[Step]:
    steps: list[Step] = []
    for at in range(first):
        steps += [data[at : at + 1], 0.003]
    return [*steps, data[first:]]


def _flushed(events: list[bytes]) -> list[Step]:
    packer = zlib.compressobj(wbits=31)
    parts = [packer.compress(each) + packer.flush(zlib.Z_SYNC_FLUSH) for each in events]
    steps: list[Step] = []
    for part in parts:
        steps += [chunk(part), 0.05]
    return [*steps, chunk(packer.flush())]


def _event_of(ask: Ask, size: int) -> bytes:
    """An event of exactly this many bytes, terminator and all."""
    empty = event(said(ask, b""))
    return event(said(ask, b"e" * (size - len(empty))))


def _resumed(ask: Ask) -> list[Step]:
    return stream(event(reply(ask, TEXT), more=b"id: %s/9\n" % ask.name.encode()))


def _broken_off(primed: Callable[[Ask], bytes]) -> Steps:
    return lambda ask: [chunked(EVENT_STREAM), chunk(primed(ask)), LAST]


def _cursor(ask: Ask) -> bytes:
    return b"id: %s/%s\nretry: 20\n" % (ask.name.encode(), ask.id.strip(b'"'))


RESUMED: dict[str, Steps] = {
    "resume-priming": _broken_off(lambda a: _cursor(a) + b"data:\n\n"),
    "resume-after-log": _broken_off(lambda a: event(log(a), more=_cursor(a))),
    "resume-after-reset": lambda a: [chunked(EVENT_STREAM), chunk(event(log(a), more=_cursor(a))), 0.05, "abort"],
}


def given(ask: Ask) -> list[Step]:
    """A stream in the chunks the call asks for, so that a test may make it up."""
    chunks = (ask.params.get("arguments") or {}).get("chunks")
    parts = [base64.b64decode(each) for each in chunks] if chunks is not None else [event(reply(ask))]
    return [chunked(EVENT_STREAM), *(chunk(part) for part in parts if part), LAST]


def _one_event(body: Callable[[Ask], bytes]) -> Steps:
    return lambda ask: stream(event(body(ask)))


SILENT = frozenset(
    "sse-cr sse-empty sse-only-comments sse-cut sse-cut-crlf sse-cut-in-json sse-unknown-carries sse-name-capitals sse-batch "
    "sse-reset-before sse-closed-before sse-length-cut sse-status-202 sse-gzip-flushed".split()
)

SHAPES = [
    *(
        Shape(f"event-of-{name}", _one_event(body), is_silent=name in SILENT_IN_STREAM)
        for name, body in BODIES.items()
        if b"\n" not in body(Ask(b"1", "", False))
    ),
    *(
        Shape(name, steps, is_silent=name in SILENT)
        for group in (LAYOUTS, CUTS, HTTP, FLOWS)
        for name, steps in group.items()
    ),
    Shape("given", given),
    *(Shape(name, steps, eras=("handshake",)) for name, steps in QUESTIONS.items()),
    *(Shape(name, steps, eras=("handshake",), resumed=_resumed) for name, steps in RESUMED.items()),
    Shape(
        "resume-404", RESUMED["resume-priming"], eras=("handshake",), is_silent=True,
        resumed=lambda _: [http(b"", b"", status=b"404 Not Found")],
    ),
]  # fmt: skip
