"""Event streams: any chunking gives the same messages, and what no rule changes leaves as it came."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.decode import sse

NEWLINES = st.sampled_from(["\n", "\r\n", "\r"])
LINES = st.sampled_from(
    [
        "data: {}",
        'data: {"a":"é"}',
        "data:",
        "data: two",
        ": ping",
        "id: 7",
        "event: message",
        "retry: 10",
        "junk",
        "dataset: x",
    ]
)
EVENTS = st.lists(st.tuples(st.lists(LINES, min_size=1, max_size=4), NEWLINES), min_size=1, max_size=6)


def stream_of(events: list[tuple[list[str], str]]) -> bytes:
    return "".join(newline.join(lines) + newline * 2 for lines, newline in events).encode()


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[a:b] for a, b in pairwise(edges)]


def read(chunks: list[bytes]) -> tuple[list[sse.Event], bytes]:
    splitter = sse.Splitter(10_000)
    raws = [raw for chunk in chunks for raw in splitter.feed(chunk)]
    rest = splitter.rest()
    events = [event for event in map(sse.parse, raws) if event.data or event.has_id or event.name]
    return events, b"".join(raws) + rest


@given(EVENTS, st.lists(st.integers(0, 2000), max_size=30))
def test_any_chunking_gives_the_same_events_and_the_same_bytes(events: list[tuple[list[str], str]], places: list[int]) -> None:
    """However the network cuts a stream, the client reads the same events, and the bytes passed on are those that came."""
    stream = stream_of(events)
    whole, _ = read([stream])
    pieces, joined = read(cut(stream, places))
    assert pieces == whole
    assert joined == stream


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=10))
def test_hostile_bytes_pass_unharmed(stream: bytes, places: list[int]) -> None:
    """Bytes that are no event stream never raise and never vanish."""
    while stream.startswith(b"\xef\xbb\xbf"):
        stream = stream[3:]
    assert read(cut(stream, places))[1] == stream


def test_an_event_that_never_ends_is_bounded() -> None:
    """A server that never ends an event cannot fill the memory."""
    splitter = sse.Splitter(100)
    with pytest.raises(sse.EventTooLong):
        splitter.feed(b"data: " + b"x" * 200)


def test_several_data_lines_are_one_message() -> None:
    """Data lines are joined by line feeds, one leading space is dropped, comments are not data."""
    event = sse.parse(b"event: message\r\n: note\r\ndata: {\r\ndata:  }\r\nid: 4\r\n\r\n")
    assert event == sse.Event(b"{\n }", "message", b"4", b"note")


def test_a_rewritten_event_keeps_its_cursor() -> None:
    """An event whose data changes keeps its id, name and retry, so a client can still resume after it."""
    raw = b"id: 12\r\nevent: message\r\nretry: 5\r\ndata: secret\r\ndata: more\r\n\r\n"
    changed = sse.with_data(raw, b"mark")
    assert changed == b"id: 12\r\nevent: message\r\nretry: 5\r\ndata: mark\r\n\r\n"


def test_a_withheld_event_still_moves_the_cursor() -> None:
    """What replaces a withheld event carries no message but keeps the id; without an id a comment remains."""
    with_id = sse.parse(sse.without_message(b"id: 3\ndata: secret\n\n"))
    assert with_id.has_id and not with_id.data
    assert sse.without_message(b"data: secret\n\n").startswith(b":")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\x00"), max_size=60))
def test_new_data_is_read_back(text: str) -> None:
    """Whatever one line of data holds, the client reads exactly that."""
    assert sse.parse(sse.with_data(b"id: 1\ndata: old\n\n", text.encode())).data == text.encode()
    assert sse.parse(sse.message_event(text.encode())).data == text.encode()


@given(st.integers(0, 4), st.lists(st.integers(0, 60), max_size=6))
def test_byte_order_marks_before_a_stream_are_taken_off(marks: int, places: list[int]) -> None:
    """Clients skip none, one or two of them; without any, all of them read the first event as it was judged."""
    stream = b"data: first\n\ndata: second\n\n"
    pieces, joined = read(cut(b"\xef\xbb\xbf" * marks + stream, places))
    assert [event.data for event in pieces] == [b"first", b"second"]
    assert joined == stream


@pytest.mark.parametrize("sign", ["\x0b", "\x0c", "\x1c", "\x1e", "\x85", "\u2028", "\u2029"])
def test_a_line_that_only_some_clients_break_is_known(sign: str) -> None:
    """Python clients of one kind see a message where the standard has an id, a comment or other data; JSON that only holds
    the character within a text is none to them, and passes."""
    for hidden in (
        f"id: 1{sign}data: {{}}",
        f": x{sign}data: []",
        f"data:{sign}data: {{}}",
        f"event: endpoint{sign}data: {{}}",
    ):
        is_named = hidden.startswith("event")
        assert sse.is_ambiguous(f"{hidden}\n\n".encode()) is not is_named
        assert sse.is_ambiguous(f"{hidden}{sign}event: message\n\n".encode())
    assert not sse.is_ambiguous(f'data: {{"text":"a{sign}b"}}\n\n'.encode())
    assert not sse.is_ambiguous(b"data: {}\n\n")
