"""Text that speaks to the model instead of the person: signals that an answer or a definition wants to steer it.

Words alone prove nothing: documentation about injection holds the same ones. So these kinds are for noticing, and no shipped
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
