"""Personal data: rules of countries against numbers they publish as examples, and how near a word must be."""

import subprocess
import sys
from typing import Any

import pytest

from sidecar.detect import walk
from sidecar.detect.personal import check_digits as sums
from sidecar.detect.personal import mrz_check_digit
from sidecar.detect.personal.words import words
from sidecar.events import Span
from sidecar.policy.fakes import fake
from tests.detect.test_kinds import ENGINE


def spans(payload: Any) -> list[Span]:
    return list(ENGINE.scan(walk(payload)).spans)


@pytest.mark.parametrize(
    ("is_ok", "number"),
    [
        (sums.sg_nric_ok, "S" + "1234567" + "D"),
        (sums.sg_nric_ok, "G" + "1234567" + "X"),
        (sums.hk_id_ok, "A" + "123456" + "3"),
        (sums.tw_id_ok, "A" + "123456789"),
        (sums.hu_taj_ok, "111111110"),
        (sums.ru_snils_ok, "112233445" + "95"),
        (sums.au_medicare_ok, "2123" + "45670" + "1"),
        (sums.de_rvnr_ok, "15" + "070649" + "C" + "103"),
        (sums.us_itin_ok, "9" + "12701234"),
        (sums.uk_nino_ok, "AB" + "123457" + "C"),
    ],
)  # fmt: skip
def test_published_examples_are_right(is_ok: Any, number: str) -> None:
    """What a country prints as an example passes its rule, and with its last digit or letter changed it does not."""
    assert is_ok(number)
    if is_ok not in (sums.us_itin_ok, sums.uk_nino_ok, sums.au_medicare_ok):
        others = "0123456789" if number[-1].isdigit() else "ABCDEFGHIJKLMNPQRTUWXZ"
        assert not any(is_ok(number[:-1] + other) for other in others if other != number[-1])


def test_the_specimen_of_icao_is_right() -> None:
    """The check digits of the passport in ICAO 9303 part 4, appendix B."""
    assert [mrz_check_digit(field) for field in ("L898902C3", "740812", "120415", "ZE184226B<<<<<")] == ["6", "2", "9", "1"]


@pytest.mark.parametrize("name", ["nl_bsn", "pl_pesel", "ca_sin", "jp_my_number", "il_id", "de_idnr", "in_aadhaar"])
def test_bare_digits_need_a_word(name: str) -> None:
    """An order's number that happens to have right check digits is left alone, in text, as a value and as a number."""
    digits = fake(name).replace(" ", "")
    for payload in (f"order {digits} shipped", {"order": digits}, {"order": int(digits)}, [digits], f"{digits},{digits}"):
        assert [span for span in spans(payload) if span.confidence > 0.5] == []


def test_a_number_is_found_under_its_key() -> None:
    """JSON numbers count as texts do, and every number of a list under a key."""
    first, second = fake("nl_bsn", 1), fake("nl_bsn", 2)
    assert [span.value for span in spans({"bsn": int(first)})] == [str(int(first))]
    assert [span.value for span in spans({"customerBsn": [first, second]})] == [first, second]
    assert [span.kind for span in spans(f"BSN {first} and {second}")] == ["pii.nl-bsn"] * 2


def test_a_word_speaks_of_the_number_beside_it() -> None:
    """Another number under another label is not the id that was named before; a key about an id is none."""
    digits = fake("nl_bsn")
    assert spans({"bsn": "123456789", "order": digits}) == []
    assert spans({"bsn_hash": digits}) == []
    assert spans("x" * 100 + " bsn " + "y " * 40 + digits) == []


def test_a_labelled_number_is_surer_than_one_some_words_away() -> None:
    """Rules that act ask for 0.9; what only stands near a word does not reach it."""
    digits = fake("nl_bsn")
    (near,) = spans(f"BSN: {digits}")
    (far,) = spans(f"BSN as the town hall wrote it down {digits}")
    assert far.confidence < 0.9 <= near.confidence


@pytest.mark.parametrize("form", ["tax_file", "taxFile", "Tax File", "tax-file", "TAX FILE"])
def test_words_are_known_however_they_are_joined(form: str) -> None:
    """Keys join the words of a phrase in every way."""
    assert words("tax file").nearness(f"{form} number: ") == 1


def test_short_words_stand_for_themselves() -> None:
    """``sin`` names a number, and is no part of ``using``."""
    assert [words("sin").nearness(text) for text in ("sin ", "SIN: ", "userSin=", "using ", "sinus ")] == [1, 1, 1, 0, 0]


def test_a_mark_names_nothing() -> None:
    """The mark that took the place of an id, in a message or in the record, says nothing of the number beside it."""
    assert words("bsn").nearness("[pii.nl-bsn] ") == words("bsn").nearness("[pii.nl-bsn #0f3a] ") == 0


def test_what_takes_long_to_import_waits_for_the_first_number() -> None:
    """A start does not pay for the tables of all countries' phones."""
    said = (
        "import sys; from sidecar.detect.text import walk; from tests import compiled;"
        "compiled.engine().scan(walk('no number at all')); print(sorted({'phonenumbers', 'stdnum'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True).stdout == "[]\n"
