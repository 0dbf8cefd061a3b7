"""All detectors of all families in order, and the kinds they find. Nothing is compiled for Hyperscan here."""

from typing import Final

from sidecar.detect import injection, personal, secrets
from sidecar.detect.kinds import REGISTERED_KIND, Detector

DETECTORS: Final[tuple[Detector, ...]] = (
    *secrets.DETECTORS,
    *personal.DETECTORS,
    *secrets.CONTEXTUAL,
    *injection.DETECTORS,
)
"""The more specific first: where two recognise the same stretch with the same confidence, the first one keeps it."""

REGISTERED: Final = Detector(
    REGISTERED_KIND,
    "a value named under 'secrets' in the settings, also in base64, hex, URL, HTML and JSON forms",
    prefilter="",
    pattern="",
    confidence=1.0,
)
"""Describes registered secrets. ``custom/registered.py`` finds them by their text, not by a pattern."""

KINDS: Final = frozenset(each.kind for each in (*DETECTORS, REGISTERED))
"""Every kind that an engine with these detectors can find."""
