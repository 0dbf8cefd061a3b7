"""The family of prompt injection: its table of detectors, for text that addresses the model instead of the person.

Words alone prove nothing: documentation about injection contains the same ones. So these kinds are signals, and no shipped
policy blocks because of them alone. What they find is no secret: it stays readable in the record, as evidence.
"""

from typing import Final

from sidecar.detect.injection import hidden, links, phrases
from sidecar.detect.kinds import Detector

DETECTORS: Final[tuple[Detector, ...]] = (
    *hidden.DETECTORS,
    *links.DETECTORS,
    *phrases.DETECTORS,
)
