"""Secrets that somebody named are found in every form in which a program may pass them on."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar import limits
from sidecar.detect import DETECTORS, Engine, walk
from sidecar.errors import SettingsError
from sidecar.events import Span
from sidecar.secret_values import registered_secrets
from sidecar.settings import load
from tests import compiled
from tests.detect.generate import CLASSES, REGISTERED, expand

ENGINE = compiled.engine([REGISTERED])


def found(payload: object, engine: Engine = ENGINE) -> list[Span]:
    return [span for span in engine.scan(walk(payload)).spans if span.kind == "secrets.registered"]


@settings(deadline=None)
@given(st.binary(max_size=7), st.binary(max_size=7), st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]))
def test_it_is_found_inside_any_base64(before: bytes, after: bytes, encode: Callable[[bytes], bytes]) -> None:
    """Whatever stands before and after it in the encoded bytes, and in either alphabet, not one bit of it is left."""
    text = encode(before + REGISTERED.encode() + after).decode()
    (span,) = found(f"x {text} y")
    bits = (len(before) * 8 // 6, -(-(len(before) + len(REGISTERED.encode())) * 8 // 6))
    assert span.start <= 2 + bits[0]
    assert span.end >= 2 + bits[1]


@pytest.mark.parametrize(
    "form",
    [REGISTERED, REGISTERED.encode().hex(), REGISTERED.encode().hex().upper(), quote(REGISTERED, safe=""), quote(REGISTERED),
     quote_plus(REGISTERED), json.dumps(REGISTERED)[1:-1], json.dumps(REGISTERED, ensure_ascii=False)[1:-1],
     json.dumps(json.dumps(REGISTERED)[1:-1])[1:-1], json.dumps(REGISTERED)[1:-1].replace("/", "\\/"),
     quote(REGISTERED, safe="").replace("%2F", "%2f").replace("%2B", "%2b").replace("%C3%A9", "%c3%a9"),
     REGISTERED.replace('"', "&quot;")],
)  # fmt: skip
def test_it_is_found_in_this_form(form: str) -> None:
    """Hex, URLs, JSON in JSON and HTML hide nothing, and all of it is marked."""
    (span,) = found({"a": [f"before {form} after"]})
    assert (span.value, span.confidence, span.is_strict_only) == (form, 1.0, False)


def test_a_long_one_is_found_whole_and_its_beginning_alone_is_not() -> None:
    """A key of many lines counts only when all of it is there."""
    value = "\n".join(expand(f"${{base64:6{index}}}") for index in range(5))
    engine = Engine(DETECTORS[:1], [value])
    assert [span.value for span in found(f"a {value} b", engine)] == [value]
    assert found(value[:200], engine) == []


def test_many_are_found_each_in_its_place() -> None:
    """Several secrets in one message are several findings."""
    values = [expand(f"${{az:{length}}}") for length in range(8, 60)]
    engine = Engine(DETECTORS[:1], values)
    assert [span.value for span in found([" ".join(values)], engine)] == values


@settings(deadline=None, max_examples=50)
@given(st.text(st.sampled_from([*CLASSES["word"], *'/+=%é"\\😀 \n']), min_size=8, max_size=40))
def test_any_value_can_be_registered(value: str) -> None:
    """Quotes, backslashes, line ends and other scripts in a secret are no trouble."""
    engine = Engine(DETECTORS[:1], [value])
    assert [span.value for span in found(f"«{value}»", engine)] == [value]


def written(folder: Path, reference: str) -> Path:
    file = folder / "sidecar.yaml"
    file.write_text(
        f'servers: [{{name: a, listen: 127.0.0.1:9001, upstream: http://127.0.0.1:8001}}]\nsecrets: ["{reference}"]\n'
    )
    return file


def test_values_come_from_variables_and_files(tmp_path: Path) -> None:
    """Settings name secrets; their values are read from where they live."""
    (tmp_path / "db").write_text(f"{REGISTERED}\n")
    loaded = load(written(tmp_path, f"file:{tmp_path / 'db'}"), {})
    assert registered_secrets(loaded, {}) == (REGISTERED,)
    assert registered_secrets(load(written(tmp_path, "env:A"), {}), {"A": REGISTERED}) == (REGISTERED,)


@pytest.mark.parametrize("value", ["1234567", "x" * (limits.REGISTERED_CHARS_MAX + 1)])
def test_a_value_of_no_use_is_refused_without_being_shown(tmp_path: Path, value: str) -> None:
    """Text so short that it turns up by chance is refused at the start, by the name of its variable."""
    with pytest.raises(SettingsError) as error:
        registered_secrets(load(written(tmp_path, "env:SHORT"), {}), {"SHORT": value})
    assert "env:SHORT" in str(error.value) and "too" in str(error.value)
    assert value not in str(error.value)


def test_a_secret_itself_in_the_settings_is_refused_without_being_shown(tmp_path: Path) -> None:
    """Who writes the secret where its name belongs is told so, and the message does not repeat it."""
    with pytest.raises(SettingsError) as error:
        load(written(tmp_path, expand("${az:30}")), {})
    assert "env:NAME" in str(error.value)
    assert expand("${az:30}") not in str(error.value)


def test_a_missing_one_is_named(tmp_path: Path) -> None:
    """A variable that is not set, a file that is not there or is no text stops the start."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00" * 10)
    for reference in ("env:NOT_SET", "file:/nowhere/at/all", f"file:{tmp_path / 'binary'}"):
        with pytest.raises(SettingsError, match=reference.partition(":")[2]):
            registered_secrets(load(written(tmp_path, reference), {}), {})
