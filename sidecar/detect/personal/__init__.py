"""The family of personal data: its table of detectors. Numbers are checked by the rules under which they are issued."""

from typing import Final

from sidecar.detect.kinds import Detector
from sidecar.detect.personal import contact, documents, money, phone, us_ssn
from sidecar.detect.personal.documents import mrz_check_digit
from sidecar.detect.personal.ids import Id
from sidecar.detect.personal.ids_europe import EUROPE
from sidecar.detect.personal.ids_world import WORLD

IDS: Final[dict[str, Id]] = {each.kind: each for each in (*EUROPE, *WORLD)}
"""National ids by kind."""

DETECTORS: Final[tuple[Detector, ...]] = (
    *money.DETECTORS,
    *us_ssn.DETECTORS,
    *contact.DETECTORS,
    *phone.DETECTORS,
    *documents.DETECTORS,
    *(detector for each in IDS.values() for detector in each.detectors()),
)

__all__ = ["DETECTORS", "IDS", "Id", "mrz_check_digit"]
