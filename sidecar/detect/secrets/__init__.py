"""The family of credentials: its table of detectors, one line for each group of vendors or formats.

Most vendors put a prefix before their tokens, so that the value alone says what it is. Where a vendor's tokens have no such
form, the vendor's name must stand near. Keys as documentation writes them (``...EXAMPLE``) are found by the strict profile
only, because only their looks tell them from real ones; placeholders (``xxxxx``, ``your-key-here``) are not found at all.
"""

from typing import Final

from sidecar.detect.kinds import Detector
from sidecar.detect.secrets import ai, cloud, code, communication, config, contextual, monitoring, payments, structured

DETECTORS: Final[tuple[Detector, ...]] = (
    *code.DETECTORS,
    *cloud.DETECTORS,
    *ai.DETECTORS,
    *communication.DETECTORS,
    *payments.DETECTORS,
    *monitoring.DETECTORS,
    *config.DETECTORS,
    *structured.DETECTORS,
)
"""Credentials that their form, or their vendor's name nearby, gives away."""

CONTEXTUAL: Final[tuple[Detector, ...]] = contextual.DETECTORS
"""Credentials that only the words before them give away: less specific, so they come after every other value."""
