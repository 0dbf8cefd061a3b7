"""What is fuzzed: for each target, what must hold for any bytes at all. A target raises ``AssertionError`` when it does not."""

import random
import re
import tempfile
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final

import h11

from sidecar.act.redact import redact_bytes, redact_value
from sidecar.decode import jsonrpc, lossless, sse
from sidecar.decode.http1 import Unusual, request_head
from sidecar.decode.locate import locate
from sidecar.detect import mark, walk
from sidecar.events import Span
from sidecar.transports.connection_rules import is_last
from tests.fuzz import peers, seeds
from tests.fuzz.passes import Passes

_NUMBER: Final = re.compile(r'"(?:[^"\\]|\\.)*"|(-?(?:[0-9][-+.0-9eE]*|Infinity)|NaN)')


def read_json(data: bytes) -> None:
    """A body that is accepted says the same to every peer; an answer that is passed on does, after it was made unambiguous."""
    try:
        value = jsonrpc.read_strictly(data)
    except jsonrpc.NotAMessage:
        pass
    else:
        assert peers.is_same(value, peers.strictly(data)), "accepted, and the strict reader reads something else"
        assert all(peers.is_same(value, said) for said in peers.readings(data)), "accepted, and a peer reads something else"
    value = jsonrpc.read_leniently(data)
    if isinstance(value, str) and jsonrpc.looks_like_json(data):
        return
    sent = jsonrpc.canonical_if_ambiguous(data, value)
    assert all(peers.is_same(value, said) for said in peers.structures(sent)), "an answer says something else to a client"
    for member in value if isinstance(value, list) else (value,):
        jsonrpc.kind_of(member)
        jsonrpc.is_misspelt(member)


def read_stream(data: bytes) -> None:
    """Any split of a stream gives the same events and bytes; they are those of the standard; a rewritten event is one event."""
    rng = random.Random(zlib.crc32(data))
    edges = sorted({0, len(data), *(rng.randint(0, len(data)) for _ in range(rng.choice((1, 3, 12))))})
    whole, joined = _split([data])
    pieces, also_joined = _split([data[a:b] for a, b in pairwise(edges)])
    assert pieces == whole, "another split gives other events"
    assert joined == also_joined, "another split gives other bytes"
    assert data.endswith(joined) and not data[: len(data) - len(joined)].strip(b"\xef\xbb\xbf"), "bytes were lost"
    text = joined.decode("utf-8", "replace")
    expected = [(name, said) for name, said, cursor in peers.events(text) if said or cursor is not None]
    got = [(event.name or "message", event.data.decode("utf-8", "replace")) for event in whole if event.data or event.has_id]
    assert got == expected, "the standard has other events"
    for event in whole[:3]:
        line = event.data.replace(b"\n", b" ").replace(b"\r", b" ")
        again = sse.parse(sse.with_data(b"id: 1\nevent: x\ndata: old\n: c\n\n", line))
        assert (again.data, again.name, again.has_id) == (line, "x", True), "rewritten data is read differently"


def _split(chunks: list[bytes]) -> tuple[list[sse.Event], bytes]:
    splitter = sse.Splitter(1 << 20)
    raws = [raw for chunk in chunks for raw in splitter.feed(chunk)]
    events = [event for event in map(sse.parse, raws) if event.data or event.has_id]
    return events, b"".join(raws) + splitter.rest()


def read_head(data: bytes) -> None:
    """A head that is taken is a head to a strict HTTP implementation too, of the same request."""
    try:
        head = request_head(data)
    except Unusual:
        return
    if head is None:
        return
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(data[: head.size])
    event = reader.next_event()
    assert isinstance(event, h11.Request), "taken, and no request to h11"
    assert (event.method, event.target) == (head.method.encode(), head.path.encode("latin-1")), "another request line"
    said = [(name.lower(), value) for name, value in event.headers]
    assert said == [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in head.fields], "other headers"
    assert reader.their_state is not h11.MUST_CLOSE or is_last("HTTP/1.1", head.headers["connection"]), (
        "kept open, and h11 closes"
    )
    assert head.body_bytes == int(dict(said).get(b"content-length", b"0")), "another length"
    assert request_head(data[: head.size - 1]) is None, "taken before it was whole"


def patch(data: bytes) -> None:
    """Redaction in the bytes is redaction in the value, leaves all else alone, and numbers keep their digits when rebuilt."""
    value = jsonrpc.read_leniently(data)
    if isinstance(value, str):
        return
    rng = random.Random(zlib.crc32(data))
    leaves = [leaf for leaf in walk(value).leaves().values() if leaf.text and leaf.is_text]
    spans = []
    for leaf in rng.sample(leaves, min(len(leaves), rng.randint(0, 4))):
        start = rng.randrange(len(leaf.text))
        spans.append(Span("secrets.aws-key", leaf, start, rng.randint(start + 1, len(leaf.text)), 0.9))
    after = redact_bytes(data, spans, mark)
    assert peers.is_same(jsonrpc.read_leniently(after), redact_value(value, spans, mark)), "bytes and value differ"
    if not any(span.leaf.is_key for span in spans):
        assert _outside(after, spans) == _outside(data, spans), "a byte outside of the spans changed"
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    rebuilt = lossless.dumps(lossless.loads(text))
    if jsonrpc.canonical_if_ambiguous(data, value) is data:
        assert _numbers(rebuilt.decode()) == _numbers(text), "a number is written otherwise"
        assert peers.is_same(jsonrpc.read_leniently(rebuilt), value), "rebuilt as another value"


def _outside(raw: bytes, spans: list[Span]) -> list[bytes]:
    places = locate(raw, {(span.leaf.path, False) for span in spans})
    edges = [0, *sorted(edge for place in places.values() for edge in place), len(raw)]
    return [raw[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _numbers(text: str) -> list[str]:
    return [digits for digits in _NUMBER.findall(text) if digits]


class Targets:
    """The targets by name, with the seeds of each; the whole pipeline is made when it is first asked for."""

    def __init__(self) -> None:
        self._passes: Passes | None = None

    names: Final = ("json", "sse", "http1", "patch", "request", "answer", "stream")

    def target(self, name: str) -> Callable[[bytes], None]:
        """The function that takes one input."""
        simple: dict[str, Callable[[bytes], None]] = {"json": read_json, "sse": read_stream, "http1": read_head, "patch": patch}
        if name in simple:
            return simple[name]
        if self._passes is None:
            with tempfile.TemporaryDirectory() as folder:
                self._passes = Passes(Path(folder))
        run: Callable[[bytes], None] = getattr(self._passes, name)
        return run

    @staticmethod
    def seeds(name: str, recordings: Path | None = None) -> list[bytes]:
        """Inputs to begin with."""
        more = list(dict.fromkeys(seeds.recorded(recordings))) if recordings else []
        if name == "http1":
            return [*seeds.HEADS]
        if name in ("sse", "stream"):
            made = [*seeds.streams(), *(each for each in more if b"data:" in each)]
        else:
            made = [*seeds.messages(), *more]
        return [bytes((index % 8, 0)) + each for index, each in enumerate(made)] if name in Passes.modes else made
