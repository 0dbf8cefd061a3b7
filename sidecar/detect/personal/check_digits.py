"""Check digits of national ids that python-stdnum does not know, each by the rule under which its country issues it."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Final

_NINO_PREFIX: Final = re.compile(r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]")
_TW_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVXYWZIO"
_MY_NO_PLACES: Final = frozenset((0, 17, 18, 19, 20, 69, 70, 73, 80, 81, 94, 95, 96, 97))
_SG_LETTERS: Final = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK", "M": "XWUTRQPNJLK"}


def weighted(digits: str, weights: Sequence[int]) -> int:
    """The sum of the digits, each times its weight."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True))


def luhn_ok(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    odd, even = digits[-1::-2], digits[-2::-2]
    return (sum(map(int, odd)) + sum(sum(divmod(2 * int(each), 10)) for each in even)) % 10 == 0


def is_date(year: str, month: str, day: str) -> bool:
    """Whether there was such a day; a year of two digits may be of either century."""
    years = (int(year),) if len(year) == 4 else (1900 + int(year), 2000 + int(year))
    return any(_is_day(each, int(month), int(day)) for each in years)


def _is_day(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def uk_nino_ok(number: str) -> bool:
    """National Insurance number: no check digit, but prefixes that HMRC never allocates (manual NIM39110)."""
    return _NINO_PREFIX.match(number) is not None and number[2:8] not in ("123456", "000000")


def sg_nric_ok(number: str) -> bool:
    """NRIC and FIN of Singapore: seven weighted digits, an offset by series, a letter."""
    total = weighted(number[1:8], (2, 7, 6, 5, 4, 3, 2)) + {"T": 4, "G": 4, "M": 3}.get(number[0], 0)
    return _SG_LETTERS[number[0]][total % 11] == number[8]


def hk_id_ok(number: str) -> bool:
    """Hong Kong identity card: letters as numbers from 10, a missing first one as 36, weights 9 to 1 (mod 11)."""
    body, last = number[:-1].rjust(8), number[-1]
    total = sum((36 if char == " " else int(char, 36)) * weight for char, weight in zip(body, range(9, 1, -1), strict=True))
    return (total + int(last, 36)) % 11 == 0


def tw_id_ok(number: str) -> bool:
    """National id of Taiwan: the letter as a number from 10 in its own order, weights 1, 9 to 1, 1 (mod 10)."""
    letter = _TW_LETTERS.index(number[0]) + 10
    return weighted(f"{letter}{number[1:]}", (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)) % 10 == 0


def hu_taj_ok(number: str) -> bool:
    """Hungarian social security number: weights 3 and 7 (mod 10)."""
    return weighted(number[:8], (3, 7) * 4) % 10 == int(number[8])


def ru_snils_ok(number: str) -> bool:
    """Russian pension account: weights 9 to 1, modulo 101, of which 100 counts as 0."""
    return weighted(number[:9], range(9, 0, -1)) % 101 % 100 == int(number[9:])


def au_medicare_ok(number: str) -> bool:
    """Australian Medicare card: eight weighted digits (mod 10), then the issue and perhaps the person."""
    return weighted(number[:8], (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(number[8])


def ae_id_ok(number: str) -> bool:
    """Emirates ID: 784, the year of birth, and Luhn's digit."""
    return number.startswith("784") and "1900" <= number[3:7] <= "2099" and luhn_ok(number)


def de_rvnr_ok(number: str) -> bool:
    """German pension insurance number (VKVV §2): day or day + 50, the letter as two digits, sums of digits (mod 10)."""
    day = int(number[2:4]) % 50
    if not is_date(number[6:8], number[4:6], f"{day:02}"):
        return False
    digits = f"{number[:8]}{ord(number[8]) - 64:02}{number[9:11]}"
    total = sum(
        sum(divmod(int(digit) * weight, 10)) for digit, weight in zip(digits, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True)
    )
    return total % 10 == int(number[11])


def us_itin_ok(number: str) -> bool:
    """US taxpayer number of people without a social security number: 9, and the groups in use (IRS)."""
    group = int(number[3:5])
    return number[0] == "9" and (50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or 94 <= group <= 99)


def kr_rrn_ok(number: str) -> bool:
    """Korean resident number: a day of birth in the century its seventh digit says, and the check digit of all issued
    until October 2020; those issued later have none and are not taken."""
    century = {"9": 18, "0": 18, "1": 19, "2": 19, "5": 19, "6": 19, "3": 20, "4": 20, "7": 20, "8": 20}[number[6]]
    total = weighted(number[:12], (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5))
    return is_date(f"{century}{number[:2]}", number[2:4], number[4:6]) and (11 - total % 11) % 10 == int(number[12])


def my_nric_ok(number: str) -> bool:
    """Malaysian identity card: a day of birth and a place that exists; it has no check digit."""
    return is_date(number[:2], number[2:4], number[4:6]) and int(number[6:8]) not in _MY_NO_PLACES
