"""Lists of values by keyed hashes: what is on a list is found however it is written, and nothing else is."""

import hashlib
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sidecar import limits
from sidecar.detect.custom import Damaged, ExactTable, build_table, key_id, key_of, normalise, parse_list
from sidecar.detect.custom.exact_list import DIGEST_BYTES, Header, digest
from sidecar.exact_lists import build


def found(values: list[str], text: str) -> list[str]:
    return [text[start:end] for start, end in build_table(values).find(text)[0]]


@pytest.mark.parametrize(
    ("value", "text", "seen"),
    [
        ("Grace Hopper", "Dear GRACE  hopper, hi", "GRACE  hopper"),
        ("Grace Hopper", "Dear Grace-\nHopper.", "Grace-\nHopper"),
        ("grace@hopper.example", "<Grace@Hopper.Example>", "Grace@Hopper.Example"),
        ("+49 (30) 123-4567", "call 49301234567 now", "49301234567"),
        ("49301234567", "call +49 30 123 4567 now", "49 30 123 4567"),
        ("DE44500105175407324931", "IBAN DE44 5001 0517 5407 3249 31,", "DE44 5001 0517 5407 3249 31"),
        ("OC-123456", "oc 123456; oc123456", "oc 123456"),
        ("10 Downing Street", '"10, DOWNING STREET"', "10, DOWNING STREET"),
        ("13800138000", "电话13800138000号", "13800138000"),
        ("456789", "abc123 456789", "456789"),
        ("山田太郎", "会いました山田太郎様", "山田太郎"),
        ("홍길동", "홍길동은", "홍길동"),
        ("Müller-Lüdenscheidt", "MU\u0308LLER LU\u0308DENSCHEIDT", "MU\u0308LLER LU\u0308DENSCHEIDT"),
        ("Straße 9a", "STRASSE 9A", "STRASSE 9A"),
        ("हिन्दी नाम", "«हिन्दी नाम»", "हिन्दी नाम"),
        ("١٢٣٤٥٦٧", "1234567", "1234567"),
    ],
)
def test_a_value_is_found_however_it_is_written(value: str, text: str, seen: str) -> None:
    """Case, blanks, punctuation, grouping and the digits' script make no difference."""
    assert seen in found([value, "somebody else"], text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Grace Hopper", "Gracie Hopper, Grace Hoppers, Hopper Grace, Grace M Hopper"),
        ("grace@hopper.example", "ann@hopper.example grace@hopper.example2"),
        ("1234567", "12345678 01234567 123456"),
        ("OC-123456", "OC-1234567, XOC-123456"),
        ("456789", "abc456789 456789x x4 56789"),
    ],
)
def test_a_stranger_is_not_found(value: str, text: str) -> None:
    """Parts, longer words and other orders are other values."""
    assert found([value], text) == []


@pytest.mark.parametrize("value", ["", "Bo", "12345", "A-1", "of", "x " * 17, "y" * 5000])
def test_what_is_too_short_or_too_long_is_no_value(value: str) -> None:
    """Nobody is stopped because of a word or a number that stands everywhere."""
    assert normalise(value) is None


LETTERS = "abzAZ09 éüøÉ ΑΩς бЯ ñ 山田"
VALUES = st.text(alphabet=LETTERS, min_size=4, max_size=20)
AROUND = st.text(alphabet=LETTERS + " ,;:()<>\"'\n/\\-_=", max_size=40)


@settings(max_examples=300, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=5), AROUND, AROUND, st.sampled_from([" ", "-", ", ", "\u00a0", "._."]), st.data())
def test_any_value_is_found_in_any_text_and_nothing_else_is(
    values: list[str], before: str, after: str, sign: str, data: st.DataObject
) -> None:
    """What a list was made of is found in every way of writing, and what is found was on the list."""
    forms = {made for value in values if (made := normalise(value))}
    assume(forms)
    value = data.draw(st.sampled_from([value for value in values if normalise(value)]))
    cased = data.draw(st.sampled_from([value, value.lower(), value.upper(), unicodedata.normalize("NFD", value)]))
    written = sign.join(cased.split())
    text = f"{before}\n{written}\n{after}"
    places = build_table(values).find(text)[0]
    start = len(before) + 1
    assert any(low < start + len(written) and start < high for low, high in places)
    assert {found.text for low, high in places if (found := normalise(text[low:high]))} <= {each.text for each in forms}
    assert all(normalise(text[low:high]) for low, high in places)


def test_a_long_list_is_searched_right() -> None:
    """Every value of thousands is found, and none of as many others."""
    key = key_of("k" * 16)
    forms = [normalise(f"person number{number}") for number in range(10_000)]
    known, others = [each for each in forms[::2] if each], [each for each in forms[1::2] if each]
    body = b"".join(sorted(digest(key, each) for each in known))
    header = Header("name", len(known), 0, (2,), (), True, key_id(key), hashlib.sha256(body).hexdigest())
    table = ExactTable(header, body, key)
    assert all(map(table.has, known)) and not any(map(table.has, others))


def test_candidates_are_bounded_and_that_is_said() -> None:
    """A text of nothing but beginnings of values ends soon, with a recorded gap."""
    assert build_table(["word after word"]).find("word " * (limits.EXACT_LOOKUPS_MAX + 9)) == ([], True)
    assert build_table(["word after word"]).find("word " * (limits.EXACT_LOOKUPS_MAX - 9)) == ([], False)


def test_a_damaged_file_is_told_from_a_good_one(tmp_path: Path) -> None:
    """Wherever a byte was changed or cut off, the list is refused, and never half used."""
    build(iter(["Grace Hopper", "Ada Lovelace", "12345678"]), key_of("k" * 16), "name", tmp_path / "list")
    good = (tmp_path / "list").read_bytes()
    assert parse_list(good)[0].count == 3
    for bad in (b"", b"{}", good[:-1], good + b"x", good[:-DIGEST_BYTES] + b"\0" * DIGEST_BYTES, good[:100]):
        with pytest.raises(Damaged):
            parse_list(bad)
    with pytest.raises(Damaged, match="version 2"):
        parse_list(good.replace(b'"version": 1', b'"version": 2'))


def test_a_replaced_list_leaves_memory_at_once() -> None:
    """Lists are built anew every night; an old one does not wait for the garbage collector."""
    body = bytes(DIGEST_BYTES)
    before = sys.getrefcount(body)
    table = ExactTable(Header("name", 1, 0, (2,), (), True, "", ""), body, b"k")
    assert table.find("grace hopper") == ([], False)
    del table
    assert sys.getrefcount(body) == before
