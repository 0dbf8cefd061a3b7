"""Every kind against its corpus: what it must find, exactly, and what it must leave alone."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sidecar.detect import DETECTORS, IDS, mark, preview, walk
from sidecar.document import Document
from sidecar.events import Span
from tests import compiled
from tests.detect.generate import REGISTERED, expand

CORPUS = Path(__file__).parents[1] / "corpus"
ENGINE = compiled.engine([REGISTERED])
CASES = {file.stem: Document(file.name, file.read_text()).value for file in sorted(CORPUS.glob("*.yaml"))}
FINDS = [(kind, case) for kind, cases in CASES.items() for case in cases["finds"]]
AROUND = [
    ("", ""), (" ", " "), ('"', '"'), ("'", "',"), ("`", "`"), ("=", "&x=1"), (">", "</key>"), ("(", ")"), ("[", "]"),
    ("{", "}"), ("\n", "\n"), ("\t", "\t"), (",", ","), (";", ";"), ("|", "|"), ("\\n", "\\n"), ('\\"', '\\"'),
    ('\\\\\\"', '\\\\\\"'), ("%20", "%20"), ("\\u003d", "\\u0026"), ("\\u0022", "\\u0022"),
    ("\\x22", "\\x22"), ("\\042", "\\042"), ("%253D", "%2526"), ("&quot;", "&quot;"), ("=3D", "\n"), ("é", "é"),
    ("「", "」"), ("x: ", "."), ("😀", "😀"),
]  # fmt: skip
SETTINGS = [
    ("=", "\n"), (': "', '",'), ("\\u0022:\\u0022", "\\u0022"), ("\\x22: \\x22", "\\x22"), ("&quot;:&quot;", "&quot;"),
    ("%2522%253A%2522", "%2522"), ("=3D", "\n"), (":\t'", "'"), ('\\":\\"', '\\",\\"'),
    ('\\\\\\": \\\\\\"', '\\\\\\"'), (">", "</key>"), (" := `", "`"),
    (' => "', '";'), ("=", "&n=1"), ("%3D", "%26n"), ("=", " \\\n"), ("|", "|"), (" | ", " | "), ("=", "\\nX=1"), (" is ", "."),
]  # fmt: skip
NEEDS_CONTEXT = {kind for kind, cases in CASES.items() if not cases.get("alone", True)} | {
    kind for kind, each in IDS.items() if not each.alone
}
"""Kinds whose value alone, or in quotes, says nothing, beside those whose vendor's name must stand near."""
NEAR = {detector.kind for detector in DETECTORS if detector.pattern.startswith("(?i:")}
ALONE = ENGINE.kinds - NEEDS_CONTEXT - {
    kind for kind in NEAR if all(each.kind != kind or each.pattern.startswith("(?i:") for each in DETECTORS)
}  # fmt: skip


def filled(case: Any) -> Any:
    """A case with its placeholders expanded."""
    if isinstance(case, dict):
        return {key: filled(value) for key, value in case.items()}
    if isinstance(case, list):
        return [filled(value) for value in case]
    return expand(case) if isinstance(case, str) else case


def marked(payload: Any) -> list[str]:
    """The values between « and » in all texts of a payload."""
    return [value for leaf in walk(payload).leaves().values() for value in re.findall("«([^»]*)»", leaf.text)]


def unmarked(payload: Any) -> Any:
    return json.loads(json.dumps(payload, ensure_ascii=False).replace("«", "").replace("»", ""))


def found(payload: Any, kind: str) -> list[Span]:
    return [span for span in ENGINE.scan(walk(payload)).spans if span.kind == kind]


def test_every_kind_has_a_corpus() -> None:
    """A kind that nothing is tested for cannot be added: each has a file with what it finds and what it leaves alone."""
    assert [f"tests/corpus/{kind}.yaml is missing" for kind in sorted(ENGINE.kinds - CASES.keys())] == []
    assert [f"tests/corpus/{kind}.yaml is of no kind" for kind in sorted(CASES.keys() - ENGINE.kinds)] == []
    assert [kind for kind, cases in CASES.items() if not cases["finds"] or not cases["passes"]] == []


@pytest.mark.parametrize("kind", sorted(CASES))
def test_finds(kind: str) -> None:
    """What the corpus marks is found under its kind, all of it and nothing around it."""
    for payload in map(filled, CASES[kind]["finds"]):
        assert [span.value for span in found(unmarked(payload), kind)] == marked(payload)


@pytest.mark.parametrize("kind", sorted(CASES))
def test_passes(kind: str) -> None:
    """What only looks like the kind is left alone."""
    for payload in map(filled, CASES[kind]["passes"]):
        assert (payload, [span.confidence for span in found(payload, kind)]) == (payload, [])


@pytest.mark.parametrize("kind", sorted(ALONE))
def test_is_found_wherever_it_stands(kind: str) -> None:
    """CSV, XML, URLs, JSON in JSON, quotes and other scripts around a value do not hide it."""
    values = {value: None for case in map(filled, CASES[kind]["finds"]) for value in marked(case) if found(value, kind)}
    assert values
    for value in values:
        for before, after in AROUND:
            spans = [span.value for span in found(before + value + after, kind)]
            assert any(value in span for span in spans), (before, after)


@pytest.mark.parametrize("quote", ['"', '\\"', "\\u0022", "\\\\u0022", "\\x22", "\\042", "&quot;", "&#34;", "%22", "%2522"])
def test_json_in_another_format_hides_nothing(quote: str) -> None:
    """Quotes as HTML, URLs, programs and .NET write them still set a name apart from its value."""
    said = {
        "aws_secret_access_key": ("secrets.aws-secret", expand("${az:40}")),
        "api_token": ("secrets.generic", expand("${az:32}")),
        "password": ("secrets.password", expand("kX-${az:10}!")),
        "algolia_api_key": ("secrets.algolia-key", expand("${hex:32}")),
        "card": ("pii.card", expand("${visa}")),
    }
    for name, (kind, value) in said.items():
        spans = found(f"{{{quote}{name}{quote}:{quote}{value}{quote},{quote}n{quote}:1}}", kind)
        assert [span.value.startswith(value) for span in spans] == [True], (name, quote)


@pytest.mark.parametrize("kind", sorted(NEAR))
def test_a_value_under_a_name_ends_where_other_text_begins(kind: str) -> None:
    """JSON in JSON, CSV, XML, URLs, shells and YAML set a name and a value in different ways; all are understood."""
    for value in {
        value: None for case in map(filled, CASES[kind]["finds"]) for value in marked(case) if not found(value, kind)
    }:
        names = [re.match("([0-9A-Z_]+)=«", str(case)) for case in CASES[kind]["finds"]]
        name = next(found[1] for found in names if found and found[1] != "KEY")
        for before, after in SETTINGS:
            assert any(value in span.value for span in found(f"{name}{before}{value}{after}", kind)), (before, after)


def test_no_preview_or_mark_shows_more_than_a_public_prefix() -> None:
    """People see of a value what its vendor made public, and how long it is."""
    for kind, case in FINDS:
        payload = filled(case)
        for span in found(unmarked(payload), kind):
            shown = preview(span).removesuffix(f"…({len(span.value)})")
            assert span.value.startswith(shown)
            assert len(shown) <= max(len(span.value) // 3, 0) or kind.endswith("-webhook")
            assert mark(span) == f"[{kind}]"


def test_what_replaces_a_value_is_not_found_again() -> None:
    """Redacting what was redacted changes nothing: a mark under a telling name is no password and no token."""
    for kind, case in FINDS:
        payload = filled(case)
        text = json.dumps(unmarked(payload), ensure_ascii=False)
        for span in found(unmarked(payload), kind):
            text = text.replace(json.dumps(span.value, ensure_ascii=False)[1:-1], mark(span))
        assert not [span.kind for span in ENGINE.scan(walk(json.loads(text))).spans if span.kind == kind]


def test_every_detector_is_documented() -> None:
    """The documentation of a kind is what its detectors say about themselves."""
    assert all(detector.about for detector in DETECTORS)
    assert all(0.5 < detector.confidence < 1 for detector in DETECTORS)
