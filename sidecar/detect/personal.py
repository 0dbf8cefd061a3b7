"""Numbers and addresses that belong to people, checked by the rules under which they are issued."""

import re
from typing import Final

from sidecar.detect.kinds import BEFORE, Candidate, Detector, before

_CARD_ISSUERS: Final = re.compile(
    r"4(?:\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}"
    r"|(?:6011|64[4-9]\d|65\d\d|62\d\d|81\d\d|35(?:2[89]|[3-8]\d)|220[0-4]|9792)\d{12}"
)
"""Visa, Mastercard; American Express, Diners; Discover, UnionPay, JCB, Mir and Troy (ISO/IEC 7812)."""
_CARD_GROUPS: Final = frozenset([(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3)])
_CARD_WORDS: Final = re.compile(
    r"(?i)(?<!pii\.)card|credit|debit|visa|master|maestro|amex|american express|diners|discover|jcb|expir"
    r"|\b(?:pan|ccn?|cv[cv])\b"
)
"""A mark in place of a card is no such word: it says nothing of the number beside it."""
_SSN_WORDS: Final = re.compile(r"(?i)\b(?:ssn|i?tin)\b|social.?sec|soc\.? ?sec|tax.?(?:payer|id)|ssn")
_SSN_ADVERTISED: Final = frozenset({"078051120", "219099999", "457555462"})
"""Printed on wallets and in advertisements, and never issued again."""

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
    f"(?:{countries})[0-9]{{2}}(?:[ -]?[0-9A-Z]){{{length - 4}}}" for length, countries in _IBAN_COUNTRIES.items()
)

_NO_DOMAIN: Final = frozenset(
    """png jpg jpeg gif svg webp ico css js mjs ts tsx jsx vue py rb rs go java kt html htm json yaml yml toml xml txt
    csv log pdf zip gz tar so dll exe lib local localdomain internal lan""".split()
)
"""What stands after the last dot of file names and of hosts that nobody gets mail at."""


def luhn_ok(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    odd, even = digits[-1::-2], digits[-2::-2]
    return (sum(map(int, odd)) + sum(sum(divmod(2 * int(each), 10)) for each in even)) % 10 == 0


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
    groups = re.split(r"[ -]", candidate.value)
    digits = "".join(groups)
    if not luhn_ok(digits) or len(set(digits)) < 2:
        return 0
    if len(groups) > 1 and (tuple(map(len, groups)) not in _CARD_GROUPS or _is_in_table(candidate)):
        return 0
    if re.match(r"[.-]\d", candidate.after) or re.search(r"\d[.-]\Z", candidate.before):
        return 0
    if _CARD_ISSUERS.fullmatch(digits):
        return 1
    return 0.9 if _CARD_WORDS.search(candidate.before) or _CARD_WORDS.search(candidate.after[:40]) else 0


def _is_iban(candidate: Candidate) -> bool:
    """The check digits, which one in 97 random numbers has by chance, after a country and a length that are right."""
    return iban_ok(candidate.value.replace(" ", "").replace("-", ""))


def _is_ssn(candidate: Candidate) -> float:
    """Area, group and serial as the Social Security Administration issues them; without dashes, only where named."""
    digits = re.sub(r"\D", "", candidate.value)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if area in ("000", "666") or area[0] == "9" or group == "00" or serial == "0000" or digits in _SSN_ADVERTISED:
        return 0
    if re.match(r"[.-]\d", candidate.after):
        return 0
    is_named = _SSN_WORDS.search(candidate.before) or _SSN_WORDS.search(candidate.after[:30])
    return 1 if is_named else 0.95 if "-" in candidate.value else 0


def _is_email(candidate: Candidate) -> bool:
    """Not a user at a code host, not the login of a URL, not a file name with an @ in it."""
    name, _, domain = candidate.value.rpartition("@")
    is_file = domain.rpartition(".")[2].lower() in _NO_DOMAIN
    if name == "git" or name.endswith(".") or ".." in candidate.value or is_file:
        return False
    return not re.search(r"://[^\s/]*\Z", candidate.before)


_CARD: Final = (
    r"([2-6][0-9]{11,18}|(?:1800|2131|0604|8[12][0-9]{2}|9792)[0-9]{8,12}"
    r"|[2-689][0-9]{3}(?:[ -][0-9]{4}){3}(?:[ -][0-9]{3})?|3[0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5})(?:[^0-9A-Za-z_]|$)"
)
_SSN: Final = r"([0-9]{3}(?:-[0-9]{2}-| [0-9]{2} |[0-9]{2})[0-9]{4})(?:[^0-9A-Za-z_]|$)"
_NO_DIGIT: Final = "(?:^|[^0-9]|%[0-9A-Fa-f]{2})"
"""Before the numbers a gate says no more than this; the same said exactly halves the speed of the whole scan."""
_EMAIL: Final = (
    r"(?:\\u[0-9A-Fa-f]{4}|\\[bfnrt]|%[0-9A-Fa-f]{2})?"
    r"([0-9A-Za-z][0-9A-Za-z._%+'-]{0,63}@(?:[0-9A-Za-z-]{1,63}\.){1,8}[A-Za-z]{2,24})"
)

DETECTORS: Final[tuple[Detector, ...]] = (
    Detector(
        "pii.card",
        "payment card number, together or in groups, also as a JSON number; of unknown issuers only where words say so",
        gate=_NO_DIGIT + _CARD,
        pattern=rf"(?:[A-Za-z]\.|{before('0-9A-Za-z_.')}){_CARD}",
        confidence=0.95,
        check=_is_card,
        may_overlap=True,
    ),
    Detector(
        "pii.iban",
        "international bank account number, together or in groups, in capitals",
        gate=r"[A-Z]{2}[0-9]{2}(?:[ -]?[0-9A-Z]{4}){2}[ -]?[0-9A-Z]{3}",
        pattern=rf"{BEFORE}({_IBAN})(?:[^0-9A-Za-z]|$)",
        confidence=0.98,
        check=_is_iban,
    ),
    Detector(
        "pii.iban",
        "in small letters, after the word IBAN",
        gate=r"(?i)iban[^0-9]{1,24}[0-9]{2}(?:[ -]?[0-9A-Z]{4}){2}[ -]?[0-9A-Z]{3}",
        pattern=rf"(?i)iban[^0-9]{{0,20}}[^0-9A-Za-z]({_IBAN})(?:[^0-9A-Za-z]|$)",
        confidence=0.98,
        check=_is_iban,
    ),
    Detector(
        "pii.us-ssn",
        "US social security number with dashes; with spaces or nine bare digits only where words say so",
        gate=_NO_DIGIT + _SSN,
        pattern=before("0-9A-Za-z_.-") + _SSN,
        confidence=0.95,
        check=_is_ssn,
    ),
    Detector(
        "pii.email",
        "e-mail address; not logins of code hosts and URLs",
        gate=r"[0-9A-Za-z._%+'-]@[0-9A-Za-z-]{1,63}\.(?:[0-9A-Za-z-]{1,63}\.){0,7}[A-Za-z]{2}",
        pattern=_EMAIL,
        confidence=0.95,
        lead=400,
        check=_is_email,
    ),
)
