"""Values that are written in another way are found, redacted as a whole, and cost clean text nothing."""

# ruff: noqa: RUF001 - letters that look alike are what some tests are about
import base64
import json
from time import thread_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar import limits
from sidecar.act.redact import redact_bytes, redact_value
from sidecar.detect import mark, preview, walk
from tests.detect.disguises import DISGUISES
from tests.detect.generate import expand
from tests.detect.test_kinds import ENGINE

SAMPLES = [expand(form) for form in (
    "AKIA${upper:16}", "ghp_${az:36}", "glpat-${az:20}", "xoxb-1${digits:11}-${digits:12}-${az:24}", "sk_live_${az:24}",
    "AIza${word:35}", "npm_${az:36}", "SG.${az:22}.${az:43}", "hf_${az:34}", "dop_v1_${hex:64}", "${visa}", "${iban_de}",
    "ada.lovelace@example.com",
)]  # fmt: skip


@pytest.mark.parametrize("way", DISGUISES)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_a_disguised_value_is_found_and_redacted(way: str, data: st.DataObject) -> None:
    """However it is written, the value is recognised, its mark takes its place, and all around stays byte for byte."""
    value = data.draw(st.sampled_from(SAMPLES))
    before, after = data.draw(
        st.sampled_from([("", ""), ("see: ", " there"), ("<b>", "</b>"), ('{"a": "', '"}'), ("é ", " 字")])
    )
    hidden = DISGUISES[way](value)
    payload = {"keep": "as it is", "text": before + hidden + after, "and": ["this", 1]}
    raw = json.dumps(payload, ensure_ascii=data.draw(st.booleans())).encode()
    spans = [span for span in ENGINE.scan(walk(payload)).spans if value in span.value]
    assert spans, (way, len(value))
    assert all(span.via and span.leaf.path == ("text",) for span in spans) or hidden == value
    sent = redact_bytes(raw, spans, mark)
    said = json.loads(sent)
    assert said == redact_value(payload, spans, mark)
    assert said["text"].startswith(before) and said["text"].endswith(after)
    assert {**said, "text": ""} == {**payload, "text": ""}
    assert not [span for span in ENGINE.scan(walk(said)).spans if value in span.value]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("value", [each for each in SAMPLES if each[:3] in ("AKI", "ghp", "glp", "npm", "sk_")])
def test_a_credential_cut_into_fields_is_found_in_all_of_them(value: str, count: int) -> None:
    """A credential sent in parts, as members of an object or items of a list, is hidden in each part."""
    size = -(-len(value) // count)
    parts = [value[at : at + size] for at in range(0, len(value), size)]
    for payload in ({f"part{at}": each for at, each in enumerate(parts)}, ["first words", *parts, "last words"]):
        spans = ENGINE.scan(walk({"arguments": payload, "n": 1})).spans
        assert [span.stretch for span in spans] == parts
        assert {(span.value, span.via) for span in spans} == {(value, "fields")}


def test_a_preview_says_how_it_was_read() -> None:
    """People see the masked value and the way it was hidden, not the encoded text."""
    (span,) = ENGINE.scan(walk(DISGUISES["gzip in base64"](SAMPLES[0]))).spans
    assert preview(span) == f"{SAMPLES[0][:4]}…(20) in base64>gzip"


@pytest.mark.parametrize(
    "text",
    ["Plain words, numbers 12345 and a path /usr/lib/python3/site-packages/x.py.", "100% of 20%, 5%",
     "café naïve Ελλάδα Привет 你好",
     "id 550e8400-e29b-41d4-a716-446655440000 sha 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
     "<p>Tom &amp; Jerry&#39;s &quot;show&quot; &nbsp; &#8217;</p>", "👩‍👩‍👧 👍🏽 ❤️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
     "C:\\new\\table \\d+\\s* \\n \\t \\\"quoted\\\"",
     "?q=a%20b&c=%2B1", "thisIsAVeryLongCamelCaseIdentifierName AnotherOneThatIsLongEnoughToLookEncoded", "４：３ 第１章"],
)  # fmt: skip
def test_clean_text_is_not_read_twice(text: str) -> None:
    """Ordinary text has nothing to undo, so nothing is spent on it."""
    scan = ENGINE.scan(walk({"text": text}))
    assert (scan.bytes_unwrapped, scan.skipped) == (0, ())


def test_an_encoding_too_deep_is_said_to_be_unread() -> None:
    """What is wrapped once more than is undone is a recorded gap, never silence."""
    text = SAMPLES[1]
    for _ in range(limits.ENCODING_DEPTH_MAX + 1):
        text = DISGUISES["base64"](text)
    assert ENGINE.scan(walk(text)).skipped == ("encoding-depth",)


def test_what_follows_padding_is_no_part_of_a_run() -> None:
    """The last line of a certificate may be as long as the others, and what ends it is written in the same alphabet."""
    for last in ("A" * 63 + "=", "A" * 62 + "=="):
        text = base64.b64encode(f"{SAMPLES[0]} ".encode() * 8).decode()[:128]
        spans = ENGINE.scan(walk(f"{text[:64]}\n{text[64:]}\n{last}\n-----END CERTIFICATE-----")).spans
        assert {span.kind for span in spans} == {"secrets.aws-key"}


def test_padding_at_the_end_of_a_text_joins_it_to_no_other() -> None:
    """A sign that ends a line of quoted-printable ends base64 too; what stands in the next text is not touched."""
    encoded = base64.b64encode(f"é\n{SAMPLES[0]}\né".encode()).decode()
    assert encoded.endswith("=") and not encoded.endswith("==")
    block = {"type": "resource", "resource": {"blob": encoded, "mimeType": "text/plain"}}
    spans = ENGINE.scan(walk({"result": {"content": [block]}})).spans
    assert [(span.leaf.path[-1], span.via) for span in spans] == [("blob", "base64")]


def test_a_bomb_is_cut_and_said_to_be() -> None:
    """A stretch that inflates without end is read up to its bound, and the rest is a recorded gap."""
    bomb = DISGUISES["gzip in base64"](SAMPLES[0] + " " + "a" * (4 * limits.INFLATED_BYTES_MAX))
    scan = ENGINE.scan(walk([bomb] * 20))
    assert "encoded" in scan.skipped and scan.bytes_skipped > 0
    assert scan.bytes_unwrapped <= limits.UNWRAPPED_BYTES_MAX
    assert scan.spans[0].kind == "secrets.aws-key"


@pytest.mark.parametrize(
    "unit",
    ["%41", "%2541", "\\u0041", "&#65;", "a\u200b", "\u0430a", "Ａ", "a\u0301", "41 ", "0x41, ",
     "QUFBQUFBQUFBQUFBQUFBQUFBQUE= ",
     "41" * 12 + " ", "H4sIAAAAAAAAAAAAAAAA ", "eJwAAAAAAAAAAAAAAAAA ", "\U000e0041", "IFAUCQKBIFAUCQKBIFAUCQKB ", "a\0"],
)  # fmt: skip
def test_hostile_encodings_take_bounded_time(unit: str) -> None:
    """A megabyte made of escapes and runs is read in seconds at most, in one text or in many."""
    text = unit * (limits.MIB // len(unit.encode()))
    started = thread_time()
    scans: list[Any] = [ENGINE.scan(walk(text)), ENGINE.scan(walk([text[at : at + 60] for at in range(0, len(text), 60)]))]
    assert thread_time() - started < 10
    assert all(scan.bytes_unwrapped <= 4 * limits.UNWRAPPED_BYTES_MAX for scan in scans)


@pytest.mark.parametrize(
    ("unit", "reason"), [("%41", "encoded"), ("QUFBQUFBQUFBQUFBQUFBQUFBQUE= ", "encoded"), ("\u0430a", "encoded")]
)
def test_ten_megabytes_of_disguise_are_a_recorded_gap(unit: str, reason: str) -> None:
    """More than is undone is read up to the bound in seconds, and the call says that the rest was not."""
    started = thread_time()
    scan = ENGINE.scan(walk(unit * (10 * limits.MIB // len(unit.encode()))))
    assert reason in scan.skipped
    assert thread_time() - started < 15
