"""Dates of birth and passports."""

import re
from dataclasses import replace
from typing import Final

from sidecar.detect.kinds import Candidate, Detector, before
from sidecar.detect.personal.check_digits import is_date
from sidecar.detect.personal.ids import beside, is_piece
from sidecar.detect.personal.words import near, words
from sidecar.detect.prefilter_groups import DIGITS

_BORN: Final = (
    "date of birth,birth date,birthdate,birthday,dob,d.o.b,born,birth,geburtsdatum,geburtstag,geboren,geb,née le,né le,"
    "date de naissance,naissance,fecha de nacimiento,nacimiento,nacido,nacida,nascimento,nascido,nascida,data di nascita,"
    "nascita,nato il,nata il,geboortedatum,geboren op,födelsedatum,född,fødselsdato,fødselsdag,født,syntymäaika,syntynyt,"
    "data urodzenia,urodzony,urodzona,datum narození,narozen,dátum narodenia,születési,született,data nașterii,"
    "născut,datum rođenja,datum rojstva,doğum tarihi,doğum,дата рождения,родился,родилась,дата народження,"
    "дата на раждане,ημερομηνία γέννησης,生年月日,出生日期,出生,생년월일,생일,tarikh lahir,tanggal lahir,ngày sinh,วันเกิด,"
    "जन्म तिथि,تاريخ الميلاد,תאריך לידה"
)
_UR: Final = r"(?:(?:^|[^0-9A-Za-z]|\\[nrt])(?:ur|Ur|UR)|[a-z]Ur)\.[^0-9A-Za-z]{0,8}[0-9dwDW]"
"""Polish for born, with how a day or a place after it begins: what ends so without is in every text."""
_BIRTH_WORDS: Final = replace(words(f"{_BORN},ur."), prefilter=f"(?:{words(_BORN).prefilter}|{_UR})")
_YEAR: Final = "(?:19[0-9]{2}|20[0-3][0-9])"
"""Plausible for somebody alive, without a clock."""
_DATE: Final = (
    rf"({_YEAR}[-/. ][01]?[0-9][-/. ][0-3]?[0-9]|{_YEAR}[01][0-9][0-3][0-9]"
    rf"|[0-3]?[0-9](?:\. |[-/. ])[01]?[0-9](?:\. |[-/. ]){_YEAR}"
    r"|[0-3]?[0-9][-/.][01]?[0-9][-/.][0-9]{2}"
    r"|[0-1]?[0-9]/[0-3]?[0-9]/[0-9]{2}(?:[0-9]{2})?"
    rf"|[0-3]?[0-9](?:st|nd|rd|th|º|er|\.)?[ -](?:of |de |d')?[A-Za-z\x80-\xFF]{{3,24}}\.?,?[ -](?:de |del )?{_YEAR}"
    rf"|[A-Za-z]{{3,9}}\.? [0-3]?[0-9](?:st|nd|rd|th)?,? {_YEAR}"
    rf"|{_YEAR} ?(?:年|년) ?[01]?[0-9] ?(?:月|월) ?[0-3]?[0-9] ?(?:日|일)?)"
)
_MONTHS: Final = frozenset(
    """jan feb mar apr may jun jul aug sep oct nov dec mai mär mae mrt maa maj okt dez des dic déc fév fev avr abr aoû aou
    juin juil ene ago set out gen mag giu lug ott янв фев мар апр мая май июн июл авг сен окт ноя дек sty lut kwi cze lip
    sie wrz paź lis gru led úno bře dub kvě čer srp zář říj pro oca şub nis haz tem ağu eyl eki kas ara jui hel tam huh tou
    kes hei elo syy lok mei agu""".split()
)

_PASSPORT_WORDS: Final = words(
    "passport,passport number,reisepass,passnummer,passeport,pasaporte,passaporte,passaporto,paspoort,paspoortnummer,pass nr,"
    "pass no,passnr,passnumret,passi,passin numero,paszport,cestovní pas,cestovný pas,útlevél,pașaport,putovnica,pasaport,"
    "паспорт,паспорта,διαβατήριο,护照,護照,旅券,パスポート,여권,paspor,hộ chiếu,พาสปอร์ต,पासपोर्ट,جواز السفر,جواز سفر,דרכון"
)
_PASSPORT: Final = (
    r"([A-Z]{1,2} ?[0-9]{6,8}|[A-Z][0-9]{2}[A-Z]{2}[0-9]{5}|[0-9]{2}[A-Z]{2}[0-9]{5}|[0-9]{8,9}|[0-9]{2} ?[0-9]{2} ?[0-9]{6}"
    r"|[CFGHJKL][0-9CFGHJKLMNPRTVWXYZ]{8})"
)

_WEIGHTS: Final = (7, 3, 1)


def mrz_check_digit(field: str) -> str:
    """The check digit of a field of a machine-readable zone (ICAO 9303 part 3, 4.9)."""
    values = (0 if char == "<" else int(char, 36) for char in field)
    return str(sum(value * _WEIGHTS[index % 3] for index, value in enumerate(values)) % 10)


def _has_digit(field: str, digit: str) -> bool:
    return mrz_check_digit(field) == digit.replace("<", "0")


def _is_zone(candidate: Candidate) -> bool:
    """All check digits of the line with the number (TD3 of passports, MRV-A of visas)."""
    line = candidate.value[-44:]
    fields = ((line[:9], line[9]), (line[13:19], line[19]), (line[21:27], line[27]))
    return _is_day(line[13:19]) and all(_has_digit(*field) for field in fields)


def _is_card_zone(candidate: Candidate) -> bool:
    """All check digits of the three lines of an identity card or a passport card (TD1)."""
    first, second = (line for line in re.findall("[0-9A-Z<]{30}", candidate.value)[:2])
    fields = ((first[5:14], first[14]), (second[:6], second[6]), (second[8:14], second[14]))
    whole = first[5:30] + second[:7] + second[8:15] + second[18:29]
    return _is_day(second[:6]) and all(_has_digit(*field) for field in fields) and _has_digit(whole, second[29])


def _is_day(digits: str) -> bool:
    return is_date(digits[:2], digits[2:4] or "0", digits[4:]) if digits.isdecimal() else False


def _is_birth_date(candidate: Candidate) -> float:
    """A day that was, near a word for being born; where day and month can be told apart only by guessing, either."""
    sure = near(candidate, _BIRTH_WORDS)
    if not sure or re.search(r"[0-9A-Za-z]-\Z|\d[/.]\Z", candidate.before) or re.match(r"[-/]\d", candidate.after):
        return 0
    numbers = re.findall(r"\d+", candidate.value)
    letters = re.findall(r"[^\W\d_]{3,}", candidate.value)
    if len(numbers) == 2:
        day, year = sorted(numbers, key=len)
        return sure if letters and any(word.lower()[:3] in _MONTHS for word in letters) and 1 <= int(day) <= 31 else 0
    if len(numbers) == 1:
        numbers = [numbers[0][:4], numbers[0][4:6], numbers[0][6:]]
    if len(numbers[0]) == 4:
        year, month, day = numbers
        return sure if is_date(year, month, day) else 0
    first, second, year = numbers
    return sure if is_date(year, second, first) or is_date(year, first, second) else 0


def _is_passport(candidate: Candidate) -> float:
    """A number of the length and letters of passports right after a word for them."""
    digits = sum(map(str.isdigit, candidate.value))
    if digits < 4 or len(set(candidate.value)) < 3 or (is_piece(candidate) and not _PASSPORT_WORDS.ends(candidate.before)):
        return 0
    sure = near(candidate, _PASSPORT_WORDS)
    return sure if sure == 1 else 0


DETECTORS: Final[tuple[Detector, ...]] = (
    beside(
        "pii.birth-date",
        "day of birth, in figures or with a month's name, near a word for it",
        _BIRTH_WORDS,
        _DATE,
        _is_birth_date,
        after="T[0-9]|",
    ),
    Detector(
        "pii.passport",
        "machine-readable zone of a passport or visa, both lines or the second (ICAO 9303), by its check digits",
        prefilter="[A-Z<]{3}[0-9]{7}[FMX<][0-9]{7}",
        pattern=(
            before("0-9A-Z<") + r"((?:[PV][A-Z<][A-Z<]{3}[A-Z<]{39}(?:\r?\n|\\n|\\r\\n| ))?"
            r"[0-9A-Z<]{9}[0-9][A-Z<]{3}[0-9]{7}[FMX<][0-9]{7}[0-9A-Z<]{14}[0-9<][0-9])(?:[^0-9A-Z<]|</|$)"
        ),
        confidence=0.98,
        lead=128,
        tail=32,
        check=_is_zone,
        group=DIGITS,
    ),
    Detector(
        "pii.passport",
        "machine-readable zone of an identity card (ICAO 9303, three lines), by its check digits",
        prefilter="[FMX<][0-9]{7}[A-Z<]{3}[0-9A-Z<]{11}[0-9]",
        pattern=(
            before("0-9A-Z<") + r"([ACI][A-Z<][A-Z<]{3}[0-9A-Z<]{9}[0-9<][0-9A-Z<]{15}(?:\r?\n|\\n|\\r\\n| )"
            r"[0-9]{7}[FMX<][0-9]{7}[A-Z<]{3}[0-9A-Z<]{11}[0-9](?:(?:\r?\n|\\n|\\r\\n| )[A-Z<]{30})?)(?:[^0-9A-Z<]|</|$)"
        ),
        confidence=0.98,
        lead=128,
        tail=80,
        check=_is_card_zone,
        group=DIGITS,
    ),
    beside(
        "pii.passport",
        "number of a passport, right after a word for it; passport numbers have no check digit of their own",
        _PASSPORT_WORDS,
        _PASSPORT,
        _is_passport,
    ),
)
