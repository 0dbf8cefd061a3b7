"""Social security numbers of the United States."""

import re
from typing import Final

from sidecar.detect.kinds import Candidate, Detector, before
from sidecar.detect.personal.ids import SEPARATOR, beside, is_piece
from sidecar.detect.personal.money import NO_DIGIT
from sidecar.detect.personal.words import near, words
from sidecar.detect.prefilter_groups import DIGITS, SSN

_SSN_WORDS: Final = words("ssn,ssns,social security,social sec,soc sec|itin,tin,taxpayer,tax id,taxpayer id")
_SSN_ADVERTISED: Final = frozenset({"078051120", "219099999", "457555462"})
"""Printed on wallets and in advertisements, and never issued again."""


def _is_issued_ssn(candidate: Candidate) -> bool:
    """Area, group and serial as the Social Security Administration issues them, and no piece of a longer number."""
    digits = re.sub(r"\D", "", candidate.value)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if area in ("000", "666") or area[0] == "9" or group == "00" or serial == "0000" or digits in _SSN_ADVERTISED:
        return False
    return not re.match(r"[.-]\d", candidate.after)


def _is_dashed_ssn(candidate: Candidate) -> float:
    return (1 if near(candidate, _SSN_WORDS) else 0.95) if _is_issued_ssn(candidate) else 0


def _is_named_ssn(candidate: Candidate) -> float:
    return near(candidate, _SSN_WORDS) if _is_issued_ssn(candidate) and not is_piece(candidate) else 0


DETECTORS: Final[tuple[Detector, ...]] = (
    Detector(
        "pii.us-ssn",
        "US social security number with dashes",
        prefilter=NO_DIGIT + SSN,
        pattern=before("0-9A-Za-z_.-") + f"({SSN})(?:[^0-9A-Za-z_]|$)",
        confidence=0.95,
        lead=32,
        tail=8,
        check=_is_dashed_ssn,
        group=DIGITS,
    ),
    beside(
        "pii.us-ssn",
        "US social security number with spaces or dots, or as nine bare digits, where words say so",
        _SSN_WORDS,
        rf"([0-9]{{3}}{SEPARATOR}[0-9]{{2}}{SEPARATOR}[0-9]{{4}})",
        _is_named_ssn,
    ),
)
