"""Numbers and addresses that belong to people."""

from typing import Final

from sidecar.detect.kinds import Detector

DETECTORS: Final[tuple[Detector, ...]] = (
    Detector(
        "pii.email",
        "An e-mail address.",
        gate=r"[A-Za-z0-9._%+-]@(?:[A-Za-z0-9-]{1,63}\.)[A-Za-z]{2}",
        pattern=r"([A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})",
        confidence=0.95,
        width=400,
    ),
)
