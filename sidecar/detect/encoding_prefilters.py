"""Prefilters of encodings: where encoded text may stand, looked for together with the detectors' prefilters.

Clean text matches none of them, so decoding costs nothing there. Prefilters of runs (base64, hex) match where their run ends,
once for each run; those of escapes match at a character that is written in another way. Escapes count only for letters and
digits, or for punctuation inside a word: what encoders must escape anyway stands everywhere and hides nothing.
"""

from dataclasses import dataclass
from typing import Final

from sidecar.detect.prefilter_groups import (
    AMPERSAND,
    BACKSLASH,
    BASE64_RUN,
    CAPITAL_RUN,
    EQUALS,
    FIELDS,
    FOREIGN,
    HEX_RUN,
    PERCENT,
    SPACE,
    WORDS,
    ZERO,
    PrefilterGroup,
)  # fmt: skip

_ALNUM_HEX: Final = "(?:3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa])"
_ALNUM_DECIMAL: Final = "0*(?:4[89]|5[0-7]|6[5-9]|[78][0-9]|9[0-9]|1[01][0-9]|12[0-2])"
_SIGN_HEX: Final = "(?:2[BDEFbdef]|3[ADad]|40|5[Ff])"
_B64: Final = "[A-Za-z0-9+/_-]"
_QUAD: Final = "[I-Za-f][CDEFGHSTUVWXijklmnyz0123][ABEFIJMNQRUVYZcdghklopstwx014589]" + _B64
"""Three printable characters in base64 (RFC 4648 §4), whatever they are."""
_QUADS_16: Final = f"[I-Za-f][AQgw][AB]{_B64}A[C-H][AEIMQUYcgkosw048]A"
"""Three printable characters of UTF-16 in base64, of either byte order."""
_OCTET_32: Final = "[E-P][ABEFIJMNQRUVYZ45][A-Z2-7][A-HQ-X][ACEGIKMOQSUWY246][A-Z2-7][A-DI-LQ-TYZ23][A-Z2-7]"
_HEX: Final = "[0-9A-Fa-f]"
_INVISIBLE: Final = (
    r"(?:\xc2\xad|\xcd\x8f|\xd8\x9c|\xe1\x85[\x9f\xa0]|\xe1\xa0[\x8b-\x8f]|\xe2\x80[\x8b-\x8f\xaa-\xae]|\xe2\x81[\xa0-\xaf]"
    r"|\xe3\x85\xa4|\xef\xb8[\x80-\x8f]|\xef\xbb\xbf|\xef\xbe\xa0|\xf3\xa0[\x80-\x87][\x80-\xbf])"
)
_COMBINING: Final = r"(?:\xcc[\x80-\xbf]|\xcd[\x80-\xaf]|\xe1[\xaa\xb7][\x80-\xbf]|\xe2\x83[\x90-\xb0]|\xef\xb8[\xa0-\xaf])"
_ALIKE: Final = r"(?:\xcd[\xb0-\xbf]|[\xce\xcf\xd0\xd1\xd2\xd3\xd4][\x80-\xbf]|\xd5[\x80-\xbf]|\xe1[\x8e\x8f][\x80-\xbf])"
_WIDE: Final = (
    r"(?:\xef\xbc[\x90-\x99\xa1-\xba]|\xef\xbd[\x81-\x9a]|\xf0\x9d[\x90-\x9f][\x80-\xbf]|\xf0\x9f\x84[\xb0-\xbf]|\xf0\x9f\x85[\x80-\x89]"
    r"|\xe2\x92[\xb6-\xbf]|\xe2\x93[\x80-\xa9]|\xe1\xb4[\x80-\xbf])"
)
_NAMED_SIGNS: Final = "(?:commat|period|lowbar|equals|sol|plus|colon|dash|hyphen|num|dollar|percnt|Tab|NewLine)"


@dataclass(frozen=True, slots=True)
class EncodingPrefilter:
    """A match of ``pattern`` (Hyperscan) calls for decoding ``encoding``, a name of ``encoded_runs.py`` or ``escapes.py``.

    ``is_once``: one match is enough. ``group`` is as in ``Detector``.
    """

    encoding: str
    pattern: str
    group: PrefilterGroup
    is_once: bool = False


def _run(body: str, alphabet: str) -> str:
    """A run of an alphabet that holds ``body``, to be reported where the run ends."""
    return f"{body}{alphabet}*(?:[^{alphabet[1:]}|$)"


ENCODING_PREFILTERS: Final[tuple[EncodingPrefilter, ...]] = (
    EncodingPrefilter("base64", _run(f"(?:{_QUAD}){{5}}", _B64), BASE64_RUN),
    EncodingPrefilter("base64", _run(f"(?:{_QUADS_16}){{3}}", _B64), BASE64_RUN),
    EncodingPrefilter("base64", _run(f"(?:H4sI|eJ[w-z]|eN[o-r]|eA[E-H]|eF[4-7]){_B64}{{12}}", _B64), WORDS),
    EncodingPrefilter("base32", _run(f"(?:{_OCTET_32}){{3}}", "[A-Z2-7]"), CAPITAL_RUN),
    EncodingPrefilter("hex", _run(f"(?:[2-7]{_HEX}){{12}}", _HEX), BASE64_RUN),
    EncodingPrefilter("hex", _run(f"(?:[2-7]{_HEX}00){{6}}", _HEX), BASE64_RUN),
    EncodingPrefilter(
        "hex", _run(f"(?:^|[^0-9A-Fa-f])(?:1[fF]8[bB]08|78(?:01|5[eE]|9[cC]|[dD][aA])){_HEX}{{20}}", _HEX), BASE64_RUN
    ),
    EncodingPrefilter("hex", f"(?:[2-7]{_HEX}[ :-]){{8}}", HEX_RUN),
    EncodingPrefilter("hex", f"(?:0[xX][2-7]{_HEX}, ?){{6}}", WORDS),
    EncodingPrefilter("url", f"%(?:25)*{_ALNUM_HEX}", PERCENT),
    EncodingPrefilter("url", f"[0-9A-Za-z]%(?:25)*{_SIGN_HEX}[0-9A-Za-z%]", PERCENT),
    EncodingPrefilter("escape", rf"\\(?:u00{_ALNUM_HEX}|u\{{0*{_ALNUM_HEX}\}}|x{_ALNUM_HEX}|U000000{_ALNUM_HEX})", BACKSLASH),
    EncodingPrefilter("escape", rf"[0-9A-Za-z]\\+(?:u00|x){_SIGN_HEX}[0-9A-Za-z\\]", BACKSLASH),
    EncodingPrefilter("escape", r"(?:\\[01][0-7]{2}){3}", BACKSLASH),
    EncodingPrefilter("escape", r"[0-9A-Za-z:/]\\+/[0-9A-Za-z\\]", BACKSLASH),
    EncodingPrefilter("entity", f"&(?:amp;)*#(?:[xX]0*{_ALNUM_HEX}|{_ALNUM_DECIMAL})(?:;|[^0-9A-Fa-f])", AMPERSAND),
    EncodingPrefilter(
        "entity", f"[0-9A-Za-z]&(?:amp;)*(?:{_NAMED_SIGNS};|#(?:[xX]0*{_SIGN_HEX}|0*(?:4[3567]|58|61|64|95));)", AMPERSAND
    ),
    EncodingPrefilter("escape", rf"(?:\\(?:0000)?{_ALNUM_HEX} ?){{3}}", BACKSLASH),
    EncodingPrefilter("quoted-printable", f"(?:={_ALNUM_HEX}){{3}}", EQUALS),
    EncodingPrefilter("quoted-printable", r"[0-9A-Za-z_-]=\r?\n[0-9A-Za-z_]", EQUALS),
    EncodingPrefilter("unicode", r"\x00[0-9A-Za-z_-]", ZERO),
    EncodingPrefilter("unicode", f"(?:{_INVISIBLE}|{_COMBINING})[0-9A-Za-z_-]", FOREIGN),
    EncodingPrefilter("unicode", f"(?:{_WIDE}){{2}}|[0-9A-Za-z_-]{_WIDE}|{_WIDE}[0-9A-Za-z_-]", FOREIGN),
    EncodingPrefilter("unicode", f"[0-9A-Za-z_]{_ALIKE}|{_ALIKE}[0-9A-Za-z_]", FOREIGN),
    EncodingPrefilter("unicode", f"[0-9]{SPACE}[0-9]", FOREIGN),
    EncodingPrefilter("unicode", r"(?:\xd9[\xa0-\xa9]|\xdb[\xb0-\xb9]|\xe0[\xa5\xa7\xa9\xab\xad\xaf][\xa6-\xaf]){6}", FOREIGN),
    EncodingPrefilter("tags", r"(?:\xf3\xa0[\x80\x81][\x80-\xbf]){8}", FOREIGN),
    EncodingPrefilter(
        "fields", r"\n[0-9A-Za-z+/=._-]*(?:[0-9][A-Za-z]|[A-Za-z][0-9])[0-9A-Za-z+/=._-]*\n", FIELDS, is_once=True
    ),
    EncodingPrefilter("selectors", r"(?:\xef\xb8[\x80-\x8f]|\xf3\xa0[\x84-\x87][\x80-\xbf]){8}", FOREIGN),
)  # fmt: skip
