"""Check digits that custom kinds can ask for, by name."""

import re
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final

_NO_DIGIT: Final = re.compile(r"[^0-9]")
_NO_SIGN: Final = re.compile(r"[^0-9A-Z]")

CHECKSUMS: Final[Mapping[str, tuple[str, re.Pattern[str]]]] = MappingProxyType(
    {
        "luhn": ("luhn", _NO_DIGIT),
        "verhoeff": ("verhoeff", _NO_DIGIT),
        "damm": ("damm", _NO_DIGIT),
        "mod11-10": ("iso7064.mod_11_10", _NO_DIGIT),
        "mod11-2": ("iso7064.mod_11_2", re.compile(r"[^0-9X]")),
        "mod97": ("iso7064.mod_97_10", _NO_SIGN),
        "mod37-2": ("iso7064.mod_37_2", re.compile(r"[^0-9A-Z*]")),
        "mod37-36": ("iso7064.mod_37_36", _NO_SIGN),
    }
)
"""The module of python-stdnum by name, and what of a value does not count.

Luhn (ISO/IEC 7812-1), Verhoeff and Damm are of digits, and ``OC-79927398713`` is checked without its letters. The others are
the systems of ISO/IEC 7064 (mod97 is that of the IBAN, its first four signs at the end).
"""


def has_valid_checksum(name: str, value: str) -> bool:
    """Whether the check digits of ``value`` are right. The module is imported when first asked for, to start faster."""
    module, noise = CHECKSUMS[name]
    return bool(import_module(f"stdnum.{module}").is_valid(noise.sub("", value.upper())))
