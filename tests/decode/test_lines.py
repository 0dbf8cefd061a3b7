"""Lines of stdio: nothing a peer could take for a message is stray text to us (cases 9, 10 and 25)."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.decode.lines import STRAY, UNREADABLE, from_server, id_of, is_stray_to_server, one_line

CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{}}}'


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"  Listening ...",
        b"\xff\xfe\x80 log",
        b"note: {x}",
        b"[INFO] {x}",
        "Zürich – 12 %".encode(),
        b"1 file read",
    ],
)
def test_ordinary_text_is_stray_to_a_server(line: bytes) -> None:
    """Text that no server reads as a message passes."""
    assert is_stray_to_server(line)


@pytest.mark.parametrize(
    "line",
    [
        CALL + b"\r" + CALL,
        b"x\r" + CALL,
        b"x\xe2\x80\xa8" + CALL,
        b"x\xe2\x80\xa9 " + CALL,
        b"\xef\xbb\xbf" + CALL,
        CALL.decode().encode("utf-16"),
        CALL + CALL,
        b"[" + CALL + b"]",
        b"{",
        b'  {"jsonrpc": "2.0",',
        b'"a" ' + CALL,
        b"null" + CALL,
        b"12 " + CALL,
    ],
)
def test_what_some_server_might_execute_is_not_stray(line: bytes) -> None:
    """However a server splits its input, and whichever encoding it guesses, no message travels as stray text."""
    assert not is_stray_to_server(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[INFO] starting {pid}",
        b"[2026-01-01 12:00] {",
        b"{name} is ready",
        b"\xff\xfe\x80",
        b"\r[=====>   ] 50%\r[=======> ] 80%",
        b'"jsonrpc": "2.0",',
        b"[1, 2] and more",
        b"\x1b[32m[INFO]\x1b[0m {ready}",
    ],
)
def test_log_lines_of_servers_are_stray(line: bytes) -> None:
    """What servers print beside messages passes as it is."""
    assert from_server(line) is STRAY


BLANKS = ["\u00a0", "\u0085", "\u1680", "\u2003", "\u200b", "\u202f", "\u3000", "\x01", "\x0b", "\x1b", "\x1c", "\ufeff "]


@pytest.mark.parametrize("blank", BLANKS)
def test_what_a_peer_trims_hides_no_message(blank: str) -> None:
    """Servers and clients that trim a line before they read it do not read one that nobody judged."""
    assert not is_stray_to_server(blank.encode() + CALL)
    assert from_server(blank.encode() + CALL) is not STRAY


@pytest.mark.parametrize("end", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85"])
def test_what_ends_a_line_for_python_hides_no_message(end: str) -> None:
    """A peer that splits what it read with ``str.splitlines`` finds no message within ordinary text."""
    assert not is_stray_to_server(b"log" + end.encode() + CALL)
    assert from_server(b"log" + end.encode() + CALL) is UNREADABLE


@pytest.mark.parametrize(
    "line",
    [
        b"log\r" + CALL,
        b"log\xe2\x80\xa8" + CALL + b"\xe2\x80\xa8",
        CALL + CALL,
        CALL + b" trailing",
        b"{",
        b'{"jsonrpc": "2.0",',
        b'{"a":' * 20_000,
        b"[" + CALL + b"] x",
    ],
)
def test_what_only_some_clients_read_is_unreadable(line: bytes) -> None:
    """A message that is one to some clients and not to others is not passed on unjudged."""
    assert from_server(line) is UNREADABLE


@pytest.mark.parametrize("line", [CALL, b" " + CALL, b"\xef\xbb\xbf" + CALL, CALL[:-2] + b',"x":"\xff"}}', b"[" + CALL + b"]"])
def test_what_a_lenient_client_reads_is_a_message(line: bytes) -> None:
    """Clients replace invalid bytes and skip a byte order mark, so the message is judged."""
    assert from_server(line).kind == "message"


def test_a_bare_cr_ends_no_message() -> None:
    """Between tokens a CR means nothing to JSON and ends a line for Python's text files, so it becomes a space."""
    outer = b'{"jsonrpc":"2.0","id":1,"result":\r' + CALL + b"\r}"
    assert json.loads(one_line(outer)) == json.loads(outer)
    assert one_line(outer).splitlines() == [one_line(outer)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.binary(max_size=12), st.binary(max_size=12))
def test_no_part_of_a_stray_line_is_a_json_object(value: object, before: bytes, after: bytes) -> None:
    """Whatever surrounds an object, a line that counts as stray has none for any way to split lines."""
    line = (before + json.dumps(value).encode() + after).replace(b"\n", b"")
    for part in re.split("[\r\u2028\u2029]", line.decode("utf-8", "replace")):
        try:
            read = json.loads(part)
            is_object = isinstance(read, dict) or (isinstance(read, list) and any(isinstance(each, dict) for each in read))
        except ValueError:
            is_object = False
        if is_object:
            assert not is_stray_to_server(line)
        if is_object and part.strip().startswith("{"):
            assert from_server(line) is not STRAY


@given(st.binary(max_size=200))
def test_any_bytes_are_something(line: bytes) -> None:
    """No line breaks the reader."""
    assert from_server(line).kind in ("message", "stray", "unreadable")
    assert is_stray_to_server(line) in (True, False)


@pytest.mark.parametrize(
    ("head", "tail", "rpc_id"),
    [
        (b'{"jsonrpc":"2.0","id":5,"result":{"x":"aaaa', b"aaa", 5),
        (b'{"result":{"x":"aaa', b'aaa"}},"jsonrpc":"2.0","id":"five"}', "five"),
        (b'{"result":{"id":1,"x":"aaa', b'aaa"}},"id":7,"jsonrpc":"2.0"}\r', 7),
        (b'{"result":{"id":1,"x":"aaa', b'aaa"}}', None),
    ],
)
def test_the_id_of_a_line_that_is_too_long_is_found_at_its_ends(head: bytes, tail: bytes, rpc_id: object) -> None:
    """Its client can be told which request got no answer."""
    assert id_of(head, tail) == rpc_id
