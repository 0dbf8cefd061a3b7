import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.record.batch import Batch, batch_of, no_response, parse
from sidecar.record.outbox_reader import OutboxRecord
from tests.record.conftest import begin, call_row, end, finding_row

ENDLESS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet=st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def batch(*payloads: bytes) -> Batch:
    """The batch of these payloads as records."""
    return batch_of(OutboxRecord(number, number * 100, number * 100 + 99, text) for number, text in enumerate(payloads, 1))


def test_a_call_is_a_row_at_its_end() -> None:
    """A call that began waits; one that ended is a row with what its end says; its findings go at once."""
    findings = orjson.dumps({"phase": "rows", "rows": {"findings": [finding_row(2), finding_row(3)]}})
    made = batch(begin(1), begin(2), end(1), findings)
    assert [orjson.loads(line)["call_id"] for line in made.lines["calls"]] == [call_row(1)["call_id"]]
    assert len(made.lines["findings"]) == 2
    assert list(made.begun) == [call_row(2)["call_id"]]
    pending = {call_row(1)["call_id"]: b"old", call_row(7)["call_id"]: b"older"}
    made.apply(pending)
    made.apply(pending)
    assert list(pending) == [call_row(7)["call_id"], call_row(2)["call_id"]]


def test_no_response_keeps_the_call() -> None:
    """The row of a call whose process died says so and keeps what was known."""
    row = orjson.loads(no_response(orjson.dumps(call_row(1))))
    assert (row["status"], row["request"]) == ("no_response", "request 1")


@pytest.mark.parametrize(
    "payload",
    [
        b"not json",
        b"[1]",
        b"{}",
        b'{"phase": "other"}',
        b'{"phase": "end"}',
        b'{"phase": "end", "call": {"call_id": 5}}',
        b'{"phase": "rows", "rows": [1]}',
        b'{"phase": "rows", "rows": {"calls_1m": [{}]}}',
        b'{"phase": "rows", "rows": {"health": {}}}',
        b'{"phase": "rows", "rows": {"health": [1]}}',
        b"[" * 100_000,
        b'{"phase": "rows", "rows": {"health": [{"detail": ' + b"[" * 400 + b"]" * 400 + b"}]}}",
        b'{"phase": "rows", "rows": {"health": [{"value": ' + b"9" * 5000 + b"}]}}",
    ],
)
def test_what_is_no_record_is_put_aside(payload: bytes) -> None:
    """Bytes that are no record are refused with a reason and take no other record with them."""
    made = batch(end(1), payload, end(2))
    assert len(made.lines["calls"]) == 2
    assert [(each.start, each.content) for each in made.refused] == [(200, payload)]
    assert made.refused[0].reason


def test_text_that_clickhouse_refuses_is_mended() -> None:
    """Lone surrogates and broken UTF-8 become replacement characters instead of poisoning a batch."""
    text = json.dumps({"phase": "end", "call": call_row(1, request="a\ud800b", rpc_id=10**30), "rows": {}}).encode()
    broken = end(2).replace(b"request 2", b"request \xff\xfe")
    rows = [orjson.loads(line) for line in batch(text, broken).lines["calls"]]
    assert [row["request"] for row in rows] == ["a\ufffdb", "request \ufffd\ufffd"]
    assert rows[0]["rpc_id"] == str(10**30)


@given(st.binary(max_size=200))
def test_any_bytes_are_sorted(payload: bytes) -> None:
    """No bytes whatever make sorting fail."""
    made = batch(payload, end(1))
    assert len(made.lines["calls"]) >= 1


@given(st.dictionaries(st.text(alphabet=st.characters(exclude_categories=()), max_size=9), ENDLESS, max_size=5))
def test_any_row_is_a_line(row: dict[str, object]) -> None:
    """Whatever a row holds, it is one line of JSON, or the record is put aside."""
    made = batch(json.dumps({"phase": "rows", "rows": {"health": [row]}}).encode())
    lines = made.lines.get("health", [])
    assert len(lines) + len(made.refused) == 1
    assert all(b"\n" not in line and isinstance(orjson.loads(line), dict) for line in lines)


def test_parse_gives_the_record() -> None:
    """A good record is what was written."""
    assert parse(begin(3))["call"]["request"] == "request 3"
