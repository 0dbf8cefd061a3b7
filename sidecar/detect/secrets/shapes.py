"""The few shapes that vendors' credentials have, so that each kind is one line of a table."""

import re
from typing import Final

from sidecar.detect.kinds import BEFORE, Candidate, Check, Detector, amid, before, is_filled_in
from sidecar.detect.secrets.credential_context import is_credential_of, is_documented, is_drawn

AZ: Final = "[0-9A-Za-z]"
LOWER: Final = "[0-9a-z]"
UPPER: Final = "[0-9A-Z]"
WORD: Final = "[0-9A-Za-z_-]"
LOOSE: Final = "[0-9A-Za-z=_-]"
BASE64: Final = "[0-9A-Za-z+/=]"
IDENT: Final = "[0-9A-Za-z_]"
DASHED: Final = "[0-9A-Za-z-]"
DOTTED: Final = "[0-9A-Za-z_.-]"
PATH: Final = "[0-9A-Za-z+/]"
HEX: Final = "[0-9a-f]"
HEX_ANY: Final = "[0-9a-fA-F]"
UUID: Final = "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"

_REPEAT_MAX: Final = 1000
"""RE2 takes no larger counts."""
_NEAR_CHARS: Final = 60
"""How far after a vendor's name a value still is that vendor's: within one record, one line, one call."""


def prefixed(
    kind: str, about: str, head: str, body: str, least: int, most: int, shown: int, confidence: float = 0.99
) -> Detector:
    """A token that its own prefix makes certain: ``head``, then ``least`` to ``most`` characters of class ``body``."""
    end = f"(?:[^{body[1:-1]}]|$)" if least == most else ""
    more = "".join(f"{body}{{0,{min(_REPEAT_MAX, most - at)}}}" for at in range(least, most, _REPEAT_MAX))
    sure = f"{head}{body}{{{least}}}" if least else head
    pattern = f"{BEFORE}({sure}{more}){end}"
    prefilter = sure + end
    return Detector(
        f"secrets.{kind}", about, prefilter, pattern, confidence, shown, 256 + least, most, is_filled_in, doubt=is_documented
    )


def alone(
    kind: str,
    about: str,
    value: str,
    confidence: float,
    shown: int,
    check: Check = is_filled_in,
    inside: str = "0-9A-Za-z",
) -> Detector:
    """A token whose form is telling only where it stands alone, with none of the characters ``inside`` around it."""
    after = f"(?:[^{inside}]|$)"
    pattern = f"{before(inside)}({value}){after}"
    return Detector(f"secrets.{kind}", about, value + after, pattern, confidence, shown, check=check, doubt=is_documented)


def near(kind: str, about: str, words: str, value: str, confidence: float = 0.95, inside: str = "0-9A-Za-z") -> Detector:
    """A value without a telling form, under a name for a credential, after one of the vendor's ``words``.

    ``inside`` are the characters of which none may stand right before or after the value.
    """
    vendor = re.compile(f"(?i){words}")
    left = amid(inside)
    prefilter = rf"(?i:{words})(?s:.{{0,{_NEAR_CHARS}}}){left}(?:{value})(?:[^{inside}]|$)"
    pattern = rf"(?i:{words})(?s:.{{0,{_NEAR_CHARS}}}?){left}({value})(?:[^{inside}]|$)"

    def is_theirs(candidate: Candidate) -> bool:
        return is_drawn(candidate.value) and is_credential_of(vendor, candidate)

    return Detector(f"secrets.{kind}", about, prefilter, pattern, confidence, lead=512, check=is_theirs, doubt=is_documented)
