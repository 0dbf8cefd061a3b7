"""Where the sidecar means to differ from the server behind it: the shapes, why, and what a client gets instead."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """Some shapes that reach clients in another way. ``is_meant`` knows the outcome that is the reason's own."""

    reason: str
    section: str
    names: frozenset[str]
    is_meant: Callable[[Any], bool]


def _says(*words: str) -> Callable[[Any], bool]:
    return lambda outcome: any(word in json.dumps(outcome) for word in words)


def _is_result(outcome: Any) -> bool:
    return "result" in outcome or outcome.get("status") == ["200"]


def _both(names: str) -> set[str]:
    return {f"{how}-{name}" for name in names.split() for how in ("json", "event-of")}


DIFFERENCES = [
    Difference(
        "JSON that no parser or not every parser reads is not passed on; its call gets an error at once",
        "mcp-wire §13",
        frozenset(
            _both(
                "control-raw tab-raw utf-16 trailing-garbage trailing-nul trailing-comma single-quotes two-objects json-cut "
                "number-leading-zero number-plus number-hex envelope-misspelt deep-10000"
            )
        ),
        _says("cannot be read safely"),
    ),
    Difference(
        "A stream or a connection that ends without an answer becomes an error with the call's id; without it some clients "
        "wait for their timeout, and Python's loses its connection",
        "mcp-wire §0.6, §11",
        frozenset(
            "sse-empty sse-only-comments sse-cut sse-cut-crlf sse-cut-in-json sse-reset-before sse-closed-before "
            "sse-length-cut type-stream-but-json closed-without-a-byte reset-without-a-byte reset-in-body "
            "chunked-cut length-short-of "
            "event-of-id-wrong event-of-id-wrong-string event-of-id-array event-of-id-null event-of-id-true "
            "event-of-id-missing event-of-id-23-digits event-of-error-id-wrong event-of-json-null "
            "event-of-json-number event-of-json-string "
            "event-of-array-empty event-of-object-empty event-of-result-and-error event-of-result-and-method".split()
        ),
        _says("gave no answer"),
    ),
    Difference(
        "HTTP that two readers read in two ways, or that is none, is not passed on",
        "RFC 9112 §5.2, §6.3, mcp-wire §17.23",
        frozenset(
            "chunked-broken length-twice length-twice-different length-and-chunked length-broken "
            "head-no-colon head-folded not-http".split()
        ),
        _says("gave no answer"),
    ),
    Difference(
        "A coding the server was asked not to use is undone where it is whole and known; clients disagree about the rest",
        "mcp-wire §13, §17.11",
        frozenset("gzip-twice gzip-two-members gzip-trailing-garbage gzip-cut gzip-only-in-name coding-unknown".split()),
        _says("gave no answer"),
    ),
    Difference(
        "An event beyond the bound is not held, so it cannot be judged; Python's client stops at an eighth of it",
        "limits.EVENT_BYTES_MAX, mcp-wire §0.10",
        frozenset(["event-9-mib"]),
        _says("gave no answer"),
    ),
    Difference(
        "A content type that names both forms is read as a stream by some clients, so it is one for all",
        "mcp-wire §13",
        frozenset(["type-stream-in-plain", "type-stream-and-json"]),
        lambda outcome: _is_result(outcome) or _says("gave no answer")(outcome),
    ),
    Difference(
        "HTTP that a client does not read by itself arrives tidied up",
        "RFC 9110 §8.4.1.3, §15.2, RFC 9112 §2.2",
        frozenset(["interim-100", "head-bare-lf", "x-gzip"]),
        _is_result,
    ),
    Difference(
        "Clients skip none, one or two byte order marks before a stream, so none is passed on",
        "WHATWG HTML §9.2.5",
        frozenset(["sse-bom"]),
        _is_result,
    ),
]

IN_BYTES_ONLY = [
    Difference(
        "Two equal keys become one, so that what was judged is all there is; clients read the same as before",
        "mcp-wire §13",
        frozenset(_both("duplicate-in-content duplicate-id duplicate-result duplicate-escaped")),
        _is_result,
    ),
    Difference(
        "What is compressed arrives plain, a stream event by event",
        "mcp-wire §5, §13",
        frozenset(
            "sse-gzip sse-gzip-flushed gzip gzip-capitals gzip-chunked gzip-1-mib gzip-error "
            "deflate-zlib deflate-raw brotli zstd".split()
        ),
        lambda outcome: "content-encoding" not in json.dumps(outcome) and not _says("gave no answer")(outcome),
    ),
    Difference(
        "What was judged is UTF-8, and some clients decode by whatever the content type says, so it says nothing else",
        "RFC 8259 §8.1",
        frozenset(["type-charset-utf-16-but-utf-8", "type-charset-latin-1"]),
        lambda outcome: "charset" not in json.dumps(outcome),
    ),
    Difference(
        "What follows the last whole event is no event to any client, and is not passed on",
        "WHATWG HTML §9.2.6",
        frozenset(["sse-garbage-after"]),
        _is_result,
    ),
]


def meant(client: str, name: str) -> Difference | None:
    """The declared difference of a shape for a client, if there is one."""
    known = [*DIFFERENCES, *(IN_BYTES_ONLY if client.startswith("raw") else [])]
    return next((each for each in known if name in each.names), None)


def names() -> set[str]:
    """Every shape that is declared to differ."""
    return {name for each in (*DIFFERENCES, *IN_BYTES_ONLY) for name in each.names}
