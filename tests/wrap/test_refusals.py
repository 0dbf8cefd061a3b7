"""What a client reads while no sidecar can be reached, of lines that were too long to be held."""

import json

import pytest

from sidecar.wrap.refusals import long_line

WHY = "no sidecar answers"


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        (b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"put","arguments":{"data":"aaaa', b'aaaa"}}}\n'),
        (b'{ "id" : 7 , "method":"tools/call", "params" : { "x": [1, "aa', b'aaaa"]}}\r\n'),
        (b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"put","arguments":{"data":"aa', b'a"}},"id":7}'),
        (b'{"method":"tools/call","params":{"data":"\\"id\\":9,aa', b'a"}, "id": 7, "jsonrpc": "2.0" }'),
    ],
)
def test_a_request_that_was_too_long_is_refused_under_its_id(head: bytes, tail: bytes) -> None:
    """Nobody waits for an answer that cannot come, wherever the id stands in the line."""
    onward, back = long_line(head, tail, True, WHY)
    said = json.loads(back)
    assert onward == b"" and said["id"] == 7 and said["result"]["isError"] is True
    assert WHY in said["result"]["content"][0]["text"]


def test_an_answer_that_was_too_long_is_an_error_under_its_id() -> None:
    """The client that asked reads that the answer could not be judged."""
    onward, back = long_line(
        b'{"jsonrpc":"2.0","id":"a","result":{"content":[{"type":"text","text":"aaa', b'a"}]}}', False, WHY
    )
    said = json.loads(onward)
    assert back == b"" and said["id"] == "a" and WHY in said["error"]["message"]


@pytest.mark.parametrize(
    "head", [b"x" * 100, b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"aaa', b"\xff\xfe{"]
)
def test_what_asks_for_nothing_is_dropped(head: bytes) -> None:
    """Stray text, notifications and nonsense that long have nobody waiting for them."""
    assert long_line(head, b'aaaa"}}', True, WHY) == (b"", b"")
