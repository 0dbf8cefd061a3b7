"""Phone numbers: in international form as their countries issue them, in national form after a word for phones."""

import re
from typing import Final

from sidecar.detect.kinds import Candidate, Detector, before
from sidecar.detect.personal.ids import beside
from sidecar.detect.personal.words import Words, near, words
from sidecar.detect.prefilter_groups import PLUS

_GAP: Final = r"(?:[ ()./-]|\xC2\xA0|\xE2\x80[\x90-\x93\xAF])"
_EXTENSION: Final = r"(?: ?(?:x|ext\.?) ?[0-9]{1,6})?"
_SHAPE: Final = rf"(\+?\(?[0-9](?:{_GAP}{{0,3}}[0-9]){{6,14}}{_EXTENSION})"

_REGIONS: Final[dict[str, str]] = {
    "phone,telephone,mobile,cell,call,desk,reach,text,dial,fax,tel,contact,whatsapp,sms": "US GB AU IN IE NZ ZA",
    "telefon,handynummer,mobilnummer,handy,mobil,rufnummer,telefax,durchwahl,ring,anrufen": "DE AT CH SE DK NO PL CZ",
    "téléphone,tél,portable,appelez,appeler": "FR BE CH CA LU",
    "teléfono,móvil,celular,llame,llamar": "ES MX AR CO CL PE",
    "telefone,telemóvel,ligue,ligar": "BR PT",
    "telefono,cellulare,chiamare,chiama": "IT CH",
    "telefoon,mobiel,gsm,bellen": "NL BE",
    "puhelin,matkapuhelin": "FI",
    "telefonszám,hívjon": "HU",
    "cep,telefonu": "TR",
    "телефон,тел,моб,звоните": "RU UA BG KZ",
    "τηλέφωνο,τηλ,κινητό": "GR",
    "电话,手机,電話,手機,携帯,联系方式": "CN JP TW HK",
    "전화,휴대폰,연락처": "KR",
    "טלפון,נייד": "IL",
    "هاتف,جوال": "SA AE EG",
}
"""Words for phones, and countries whose people use them, the larger ones first; Canada numbers as the United States do."""
_SPOKEN: Final = tuple((words(spoken), tuple(regions.split())) for spoken, regions in _REGIONS.items())
_LABELS: Final = words(
    "phone,telephone,mobile,cell,dial,fax,tel,whatsapp,sms,telefon,handynummer,mobilnummer,handy,mobil,rufnummer,telefax,téléphone,tél,"
    "portable,teléfono,móvil,celular,telefone,telemóvel,telefono,cellulare,telefoon,mobiel,gsm,puhelin,telefonszám,cep,"
    "телефон,тел,моб,τηλέφωνο,τηλ,κινητό,电话,手机,電話,手機,携帯,联系方式,전화,휴대폰,연락처,טלפון,נייד,هاتف,جوال"
)
_VERBS: Final = words(
    "reach me,reach us,reach him,reach her,call me,call us,call him,call her,please call,call on,call at,desk,answering,"
    "messages to,message to,text me,text us,"
    "registered,contact number"
)
_ALL: Final = Words(f"(?:{_LABELS.prefilter}|{_VERBS.prefilter})", _LABELS.specific, _VERBS.specific)
_NO_PHONE: Final = re.compile(
    r"(?:19|20)\d\d[-/.][01]\d[-/.][0-3]\d|[0-3]?\d[-/.][01]?\d[-/.](?:19|20)\d\d"
    r"|\d{1,3}(?:\.\d{1,3}){3}\Z|\d+\.\d+\Z|.*\.\.|(?:19|20)\d\d[-/](?:19|20)?\d\d\Z"
)
"""Dates, addresses of hosts, decimals, spans of years."""
_PIECE_BEFORE: Final = re.compile(r"(?:\d[.:/,-]|[$€£¥#+]|[0-9A-Za-z][_-])\Z")
_PIECE_AFTER: Final = re.compile(r"[:,./_-][0-9A-Za-z_]")
_LOOSE: Final = 0.75
"""How sure a number is that looks and is named like a phone's and that no country has issued, against one that is."""


def _groups(text: str) -> list[str]:
    """The groups of digits, without an extension."""
    return re.findall(r"\d+", re.split(r"(?i)x|ext", text)[0])


def _nearness(candidate: Candidate) -> float:
    return max(near(candidate, _LABELS), near(candidate, _VERBS))


def _is_international(candidate: Candidate) -> float:
    """A number as its country issues them; else one of the right length whose groups or words say what it is."""
    import phonenumbers  # It takes longer to import than a message to judge.

    value = candidate.value
    if _NO_PHONE.match(value[1:]) or len(set("".join(_groups(value)))) < 3:
        return 0
    try:
        number = phonenumbers.parse(value, None)
    except phonenumbers.NumberParseException:
        return 0
    if phonenumbers.is_valid_number(number):
        is_added = value[1:].isdecimal() and not candidate.is_whole and candidate.before[-1:] in ("", "\n")
        return 0.65 if is_added else 1
    is_told = len(_groups(value)) > 2 or _nearness(candidate)
    return _LOOSE if is_told and phonenumbers.is_possible_number(number) else 0


def _is_national(candidate: Candidate) -> float:
    """After a word for phones: a number of a country that speaks its language, or digits in the groups of phones."""
    value, groups = candidate.value, _groups(candidate.value)
    digits = "".join(groups)
    if not 7 <= len(digits) <= 15 or len(set(digits)) < 3 or _NO_PHONE.match(value) or value[0] == "+":
        return 0
    if _PIECE_BEFORE.search(candidate.before) or _PIECE_AFTER.match(candidate.after):
        return 0
    sure = _nearness(candidate)
    if not sure or _is_issued(value, candidate.before):
        return sure
    is_formed = len(groups) > 1 or value[0] in "0(" or near(candidate, _LABELS) == 1
    return _LOOSE if sure == 1 and len(digits) <= 13 and is_formed else 0


def _is_issued(value: str, said: str) -> bool:
    """Whether one of the countries that speak as the words before the number do has such a number."""
    import phonenumbers  # It takes longer to import than a message to judge.

    text = "+" + value[2:] if value.startswith("00") else value
    for region in (region for spoken, regions in _SPOKEN if spoken.nearness(said) for region in regions):
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(text, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


DETECTORS: Final[tuple[Detector, ...]] = (
    Detector(
        "pii.phone",
        "phone number in international form, as its country issues them or in groups",
        prefilter=rf"\+\(?[1-9]{_GAP}?[0-9(]",
        pattern=rf"{before('0-9A-Za-z+')}(\+\(?[1-9](?:{_GAP}{{0,3}}[0-9]){{6,14}}{_EXTENSION})(?:[^0-9A-Za-z]|$)",
        confidence=0.95,
        lead=16,
        tail=64,
        check=_is_international,
        group=PLUS,
        effort=100,
    ),
    beside(
        "pii.phone",
        "phone number in the form of its own country, after a word for phones",
        _ALL,
        _SHAPE,
        _is_national,
        effort=150,
    ),
)
