"""Custom kinds: what authors write is found where they would find it, in any disguise, and takes nothing from other kinds."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
import re2
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sidecar import limits
from sidecar.act.redact import mask_value
from sidecar.detect import DETECTORS, Engine, mark, walk
from sidecar.detect.custom import NO_CUSTOM_KINDS, CustomKind, CustomKinds, build_table, prepare_regex, prepare_words
from sidecar.detect.custom.regex_prefilter import build_regex_prefilter

ENGINE = Engine([each for each in DETECTORS if each.kind == "pii.email"])


def regex(pattern: str, **more: Any) -> CustomKind:
    return CustomKind("custom", 0.9, *prepare_regex(pattern), **more)


def keywords(*words: str, **more: Any) -> CustomKind:
    return CustomKind("custom", 0.9, *prepare_words(words), is_word=True, **more)


def found(kind: CustomKind, payload: Any) -> list[str]:
    return [span.value for span in ENGINE.scan(walk(payload), CustomKinds([kind])).spans if span.kind == "custom"]


@pytest.mark.parametrize(
    ("pattern", "text", "values"),
    [
        (r"\bOC-\d{6}\b", "ask OC-123456, XOC-123456 or OC-1234567", ["OC-123456"]),
        (r"^[A-Z]{2}\d+$", {"a": "AB12", "b": "x AB13", "c": "one\nCD14\ntwo"}, ["AB12", "CD14"]),
        (r"(?i)straße \p{Lu}", "STRAßE Ä", ["STRAßE Ä"]),
        (r"key=(?P<value>\w+);", "key=abc; key=def", ["abc"]),
        (r"one\s+two", ["one", "two", "one \n two"], ["one \n two"]),
        (r"\Qa.b\E+", "aab a.bb", ["a.bb"]),
        (r"[\S,]x{3}", "axxx", ["axxx"]),
    ],
)
def test_a_pattern_is_found_as_its_author_means_it(pattern: str, text: Any, values: list[str]) -> None:
    """Edges are those of lines and fields, a group called value is the value, and nothing reaches into another field."""
    assert found(regex(pattern), text) == values


@pytest.mark.parametrize(
    ("words", "text", "values"),
    [
        (["Bluefin"], "BLUEFIN bluefins blue_bluefin (Bluefin)", ["BLUEFIN", "bluefin", "Bluefin"]),
        (["Operation Lantern"], "operation\u00a0 \n LANTERN, operations lantern", ["operation\u00a0 \n LANTERN"]),
        (["Straße"], "STRASSE Strasse strassen", ["STRASSE", "Strasse"]),
        (["Écluse"], "E\u0301CLUSE écluses écluse", ["E\u0301CLUSE", "écluse"]),
        (["блюфин"], "БлюФин", ["БлюФин"]),
        (["北京计划"], "新北京计划中", ["北京计划"]),
        (["C++"], "c++ and c", ["c++"]),
    ],
)
def test_words_are_found_whole_and_in_any_case(words: list[str], text: str, values: list[str]) -> None:
    """A word is no part of a longer one, whatever its alphabet; scripts without spaces have no such edges."""
    assert found(keywords(*words), text) == values


def test_a_word_near_is_asked_for_within_its_distance() -> None:
    """The fish is only a fish: words speak of a value up to the distance, as whole words, also from the field's name."""
    kind = keywords("Bluefin", near=prepare_words(["price", "launch"])[0], within=20)
    assert found(kind, "We ate bluefin tuna") == []
    assert found(kind, "the bluefin launches") == []
    assert found(kind, "Bluefin" + " " * 15 + "price") == ["Bluefin"]
    assert found(kind, "Bluefin" + " " * 16 + "price") == []
    assert found(kind, "price" + " " * 15 + "Bluefin") == ["Bluefin"]
    assert found(kind, "price" + " " * 16 + "Bluefin") == []
    assert found(kind, {"launch": "Bluefin"}) == ["Bluefin"]


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("luhn", "79927398713", "79927398714"),
        ("verhoeff", "1234567890120", "1234567890121"),
        ("damm", "5724000", "5724001"),
        ("mod97", "9999123456789012141490", "9999123456789012141491"),
        ("mod11-10", "794623", "794624"),
        ("mod11-2", "07940", "07941"),
        ("mod37-2", "G123489654321Y", "G123489654321X"),
        ("mod37-36", "A12425GABC1234002M", "A12425GABC1234002N"),
    ],
)
def test_check_digits_tell_values_from_other_digits(name: str, right: str, wrong: str) -> None:
    """Of what looks like a value only what has its check digits is one."""
    assert found(regex(r"\b\w{5,24}\b", checksum=name), f"{wrong} {right}") == [right]


PARTS = r". a b é ß 1 k ^ $ \d \w \s \S \W \b \pL \x{e9} \n \. [ab] [^a] [\d_] [^\s] [\pL1] [[:alpha:]] []a] [\]\-a] \Qa.\E"
ATOMS = st.sampled_from([*PARTS.split(), "(?i:ab)", "(?s:.)"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["+", "*", "?", "{2}", "+?", "{1,3}"])).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        inner.map(lambda part: f"(?P<value>{part})" if "value" not in part else part),
        inner.map(lambda part: f"(?i){part}"),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(PATTERNS, st.lists(st.text(alphabet="aAbBkéÉß1_ .-\n]\ud800", max_size=30), max_size=4))
def test_the_quick_look_misses_nothing(pattern: str, texts: list[str]) -> None:
    """What RE2 finds by itself is also found behind Hyperscan's look, for patterns of every form."""
    try:
        made = re2.compile(pattern)
    except re2.error:
        assume(False)
    assume(not made.search(b"") and build_regex_prefilter(pattern) is not None)
    kind = regex(pattern)
    assert CustomKinds([kind]).find(walk(texts)) == CustomKinds([replace(kind, prefilters=())]).find(walk(texts))


DISGUISES: dict[str, Callable[[str], str]] = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "hex": lambda text: text.encode().hex(),
    "url": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "quoted": quote,
    "within JSON": lambda text: json.dumps({"said": text.replace(" ", "\n")}),
    "zero-width": "\u200b".join,
    "fullwidth": lambda text: "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in text),
}


@pytest.mark.parametrize("name", DISGUISES)
def test_custom_kinds_are_seen_through_disguises(name: str) -> None:
    """What is decoded for the built-in detectors is read by custom kinds too, and masked in the record."""
    custom = CustomKinds(
        [
            regex(r"OC-\d{6}"),
            replace(keywords("Operation Lantern"), kind="words"),
            CustomKind("list", 0.99, table=build_table(["Grace Hopper"])),
        ]
    )
    payload = {"text": DISGUISES[name]("see Grace Hopper about OC-123456 and Operation Lantern today")}
    scan = ENGINE.scan(walk(payload), custom)
    assert {span.kind for span in scan.spans} == {"custom", "words", "list"}
    masked = mask_value(payload, scan.spans, mark)
    assert ENGINE.scan(walk(masked), custom).spans == ()


def test_no_kind_takes_the_finding_of_another_away() -> None:
    """A rule about e-mail still holds where a custom kind is surer of the same letters, and the other way round."""
    custom = CustomKinds([regex(r"\w+@corp\.example"), replace(keywords("corp"), kind="name")])
    spans = ENGINE.scan(walk("to ada@corp.example"), custom).spans
    assert {(span.kind, span.value) for span in spans} == {
        ("pii.email", "ada@corp.example"),
        ("custom", "ada@corp.example"),
        ("name", "corp"),
    }


def test_the_scan_says_which_custom_kinds_looked() -> None:
    """The number of detectors and their version identify a set of custom kinds, whether they find anything or not."""
    plain = ENGINE.scan(walk("hello"))
    one, other = (ENGINE.scan(walk("hello"), CustomKinds([regex(pattern)])) for pattern in ("abc", "abd"))
    assert one.detectors == other.detectors == plain.detectors + 1
    assert len({plain.version, one.version, other.version}) == 3
    assert ENGINE.scan(walk("hello"), NO_CUSTOM_KINDS).version == plain.version


def test_hostile_text_is_bounded_and_that_is_said() -> None:
    """A pattern that looks far ahead for each of a million letters ends soon, with what was found and a recorded gap."""
    scan = ENGINE.scan(walk("a" * limits.MIB), CustomKinds([regex("a[^z]*z|a")]))
    assert len(scan.spans) == limits.CUSTOM_SPANS_MAX
    assert scan.skipped == ("spans",) and scan.kinds_cut == {"custom"}


def test_a_match_across_windows_is_whole() -> None:
    """Where a value stands in a long text makes no difference."""
    kind = regex(r"<[^>]+>")
    for before in range(2 * limits.CUSTOM_MATCH_BYTES_MAX - 40, 2 * limits.CUSTOM_MATCH_BYTES_MAX + 3, 7):
        assert found(kind, "é" * (before // 2) + "<" + "x" * 100 + ">" + "y" * 5000) == ["<" + "x" * 100 + ">"]
