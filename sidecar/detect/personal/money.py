"""Numbers of payment cards and bank accounts."""

import re
from typing import Final

from sidecar.detect.kinds import BEFORE, ESCAPED, Candidate, Detector, before
from sidecar.detect.personal.check_digits import luhn_ok
from sidecar.detect.prefilter_groups import DIGITS, GAP

_CARD_ISSUERS: Final = re.compile(
    r"4(?:\d{15}|\d{18})|62\d{17}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}"
    r"|(?:6011|64[4-9]\d|65\d\d|62\d\d|81\d\d|35(?:2[89]|[3-8]\d)|220[0-4]|9792)\d{12}"
)
"""Visa, Mastercard; American Express, Diners; Discover, UnionPay, JCB, Mir and Troy (ISO/IEC 7812)."""
_CARD_GROUPS: Final = frozenset([(4, 4, 4, 4), (4, 6, 5), (4, 6, 4)])
"""As printed on most cards."""
_CARD_GROUPS_RARE: Final = frozenset(
    {*(tuple(map(int, each)) for each in "44443 44441 44442 4443 4442 4441 445 444 4333 844 88".split()), (6, 10), (6, 13)}
)
_GOES_ON_BEFORE: Final = re.compile(r"\d[ .-]?\Z")
_ESCAPED_BEFORE: Final = re.compile(rf"(?:{ESCAPED})[ .-]?\Z")
_CARD_WORDS: Final = re.compile(
    r"(?i)(?<!pii\.)card|credit|debit|visa|master|maestro|amex|american express|diners|discover|jcb|expir"
    r"|\b(?:pan|ccn?|cv[cv])\b|cc.?(?:num|no|nr)|kredit|karte|carte|tarjeta|cart[ãa]o|carta|kort|kartu|карт|カード|卡"
)
"""A mark in place of a card is no such word: it says nothing of the number beside it."""

_IBAN_COUNTRIES: Final = {
    15: "NO",
    16: "BE",
    18: "DK|FI|FK|FO|GL|NL|SD",
    19: "MK|SI",
    20: "AT|BA|EE|KZ|LT|LU|MN|XK",
    21: "CH|HR|LI|LV",
    22: "BG|BH|CR|DE|GB|GE|IE|ME|RS|VA",
    23: "AE|GI|IL|IQ|OM|SO|TL",
    24: "AD|CZ|ES|MD|PK|RO|SA|SE|SK|TN|VG",
    25: "LY|PT|ST",
    26: "IS|TR",
    27: "BI|DJ|FR|GR|IT|MC|MR|SM",
    28: "AL|AZ|BY|CY|DO|GT|HN|HU|LB|NI|PL|SV",
    29: "BR|EG|PS|QA|UA",
    30: "JO|KW|MU|YE",
    31: "MT|SC",
    32: "LC",
    33: "RU",
}
"""The countries by the length of their account numbers (ISO 13616, SWIFT's registry)."""
_IBAN: Final = "|".join(
    f"(?:{countries}){GAP}?[0-9]{{2}}(?:{GAP}?[0-9A-Z]){{{length - 4}}}" for length, countries in _IBAN_COUNTRIES.items()
)
_IBAN_PREFILTER: Final = f"{GAP}?[0-9]{{2}}(?:{GAP}?[0-9A-Z]{{4}}){{2}}{GAP}?[0-9A-Z]{{3}}"


def iban_ok(text: str) -> bool:
    """Whether the check digits of an account number without separators are right (ISO 7064, MOD 97-10)."""
    return int("".join(str(int(each, 36)) for each in text[4:] + text[:4])) % 97 == 1


def _is_in_table(candidate: Candidate) -> bool:
    """More groups of four digits before or after than whole cards would be."""
    before = re.search(r"(?<!\d)(?:\d{4}[ -])+\Z", candidate.before)
    after = re.match(r"(?:[ -]\d{4})+(?![\d/])", candidate.after)
    return any(match is not None and match.end() - match.start() not in (20, 40, 60, 80) for match in (before, after))


def _is_card(candidate: Candidate) -> float:
    """An issuer's length and first digits, the check digit, groups as on cards; words nearby make up for an issuer."""
    groups = re.split(r"\D", candidate.value)
    digits = "".join(groups)
    if not luhn_ok(digits) or len(set(digits)) < 2:
        return 0
    if len(groups) > 1 and (tuple(map(len, groups)) not in _CARD_GROUPS or _is_in_table(candidate)):
        return 0
    if re.match(r"[.-]\d", candidate.after) or re.search(r"\d[.-]\Z", candidate.before):
        return 0
    return 1 if _CARD_ISSUERS.fullmatch(digits) else _is_named_card(candidate)


def _is_rare_card(candidate: Candidate) -> float:
    """The check digit, and groups that only words or an issuer of 19 digits make those of a card."""
    groups = re.split(r"\D", candidate.value)
    digits = "".join(groups)
    if tuple(map(len, groups)) not in _CARD_GROUPS_RARE or not luhn_ok(digits) or len(set(digits)) < 3:
        return 0
    said = candidate.before
    if re.match(r"[ .-]?\d", candidate.after) or (_GOES_ON_BEFORE.search(said) and not _ESCAPED_BEFORE.search(said)):
        return 0
    return 1 if len(groups) == 5 and _CARD_ISSUERS.fullmatch(digits) else _is_named_card(candidate)


def _is_named_card(candidate: Candidate) -> float:
    return 0.9 if _CARD_WORDS.search(candidate.before) or _CARD_WORDS.search(candidate.after[:40]) else 0


def _is_iban(candidate: Candidate) -> bool:
    """The check digits, which one in 97 random numbers has by chance, after a country and a length that are right."""
    return iban_ok(re.sub("[^0-9A-Za-z]", "", candidate.value))


_CARD: Final = (
    r"([2-6][0-9]{11,18}|(?:1800|2131|0604|8[12][0-9]{2}|9792)[0-9]{8,12}"
    rf"|[2-689][0-9]{{3}}(?:{GAP}[0-9]{{4}}){{3}}|(?:3[0-9]{{3}}|1800|2131){GAP}[0-9]{{6}}{GAP}[0-9]{{4,5}})(?:[^0-9A-Za-z_]|$)"
)
_CARD_RARE: Final = (
    rf"([2-69][0-9]{{3}}(?:{GAP}[0-9]{{4}}){{2,3}}{GAP}[0-9]{{1,3}}|[56][0-9]{{3}}{GAP}[0-9]{{4}}{GAP}[0-9]{{4,5}}"
    rf"|4[0-9]{{3}}(?:{GAP}[0-9]{{3}}){{3}}|[56][0-9]{{5}}{GAP}[0-9]{{10,13}}"
    rf"|[4-6][0-9]{{7}}{GAP}[0-9]{{4}}{GAP}?[0-9]{{4}})(?:[^0-9A-Za-z_]|$)"
)
NO_DIGIT: Final = f"(?:^|[^0-9]|{ESCAPED})"
"""Before the numbers a prefilter says no more than this; their patterns say it exactly."""

DETECTORS: Final[tuple[Detector, ...]] = (
    Detector(
        "pii.card",
        "payment card number, together or in groups, also as a JSON number; of unknown issuers only where words say so",
        prefilter=f"(?:^|[^0-9.]|[^0-9][.]|{ESCAPED})" + _CARD,
        pattern=rf"(?:[A-Za-z]\.|{before('0-9A-Za-z_.%')}){_CARD}",
        confidence=0.95,
        lead=64,
        tail=64,
        check=_is_card,
        may_overlap=True,
        group=DIGITS,
    ),
    Detector(
        "pii.card",
        "payment card number in unusual groups: of 19 digits, or of 12 to 18 where words say so",
        prefilter=NO_DIGIT + _CARD_RARE,
        pattern=before("0-9A-Za-z_.%") + _CARD_RARE,
        confidence=0.95,
        lead=64,
        tail=64,
        check=_is_rare_card,
        may_overlap=True,
        group=DIGITS,
    ),
    Detector(
        "pii.iban",
        "international bank account number, together or in groups, in capitals",
        prefilter="[A-Z]{2}" + _IBAN_PREFILTER,
        pattern=rf"{BEFORE}({_IBAN})(?:[^0-9A-Za-z]|$)",
        confidence=0.98,
        check=_is_iban,
        group=DIGITS,
    ),
    Detector(
        "pii.iban",
        "in small letters, after the word IBAN",
        prefilter="(?i)iban[^0-9]{1,24}" + _IBAN_PREFILTER.removeprefix(f"{GAP}?"),
        pattern=rf"(?i)iban[^0-9]{{0,20}}[^0-9A-Za-z]({_IBAN})(?:[^0-9A-Za-z]|$)",
        confidence=0.98,
        check=_is_iban,
    ),
)
