"""Whether a name or a value of a configuration could be a secret: by rules that need no detector, so that nothing is compiled.

Names are judged by the words that the detectors use (``sidecar.detect.secrets.credential_context``). Values have two rules:
``is_secret`` knows what looks generated, for places where most values are harmless (arguments); ``is_harmless`` knows forms
that are no secret, for places where secrets are common (variables, headers, queries).
"""

import re
from itertools import pairwise
from typing import Final

from sidecar.detect.secrets.credential_context import CREDENTIAL, HARMLESS

_MORE_NAMES: Final = re.compile(
    r"(?i)(?:^|[_.-])(?:db)?(?:pass|pin|otp|sig|signature|sid)$|cookie|jwt|webhook|session(?:[_.-]?id)?$|conn(?:ection)?[_.-]?str"
)
_OTHER_WORDS: Final = re.compile(r"(?i)author(?!i[sz])|monkey|hotkey|keymap|keyspace")
"""Words in which a credential's word stands by chance."""
_REFERENCE: Final = re.compile(
    r"(?:(?:bearer|basic|token) )?\$(?:\{[A-Za-z_][\w.:]*\}|[A-Za-z_]\w*)|(?:env|file):\S+", re.IGNORECASE
)
"""A value that names where the secret is: a variable, an input of the client, a file."""
_HARMLESS: Final = re.compile(
    r"""
    [+-]?[0-9]{1,8}(?:\.[0-9]{1,8})?(?i:ms|[smhdkgb]|[kmg]i?b|%)?    # a number, perhaps with a unit
    | v?[0-9]{1,4}(?:\.[0-9]{1,4}){1,3}                             # a version
    | (?:[0-9]{1,3}\.){3}[0-9]{1,3}(?::[0-9]{1,5}){0,2} | [0-9]{1,5}:[0-9]{1,5}    # addresses and ports
    | (?:[a-z0-9-]+\.)+[a-z]{2,12}(?::[0-9]{1,5})? | localhost(?::[0-9]{1,5})?
    | [a-z]{2}_[A-Z]{2}\.UTF-?8 | utf-?8 | UTF-?8
    """,
    re.VERBOSE,
)
_WORD: Final = r"(?:[A-Za-z][a-z]{0,13}(?:[A-Z][a-z]{2,10}){0,3}|[A-Z]{1,14})"
_WORDS: Final = re.compile(rf"{_WORD}(?:[ ,/_.:-]{{1,2}}{_WORD}){{0,5}}")
_PATH: Final = re.compile(r"(?:~|\.{1,2}|[A-Za-z]:)?[/\\][^\n:=;]*|[./~]")
_RUN: Final = re.compile(r"[A-Za-z0-9]+")
_CAMEL: Final = re.compile(r"(?:[A-Z]{0,6}[a-z]{2,}|[A-Z]{2,6}(?![a-z]))+[0-9]{0,4}")
_URL_SAFE: Final = re.compile(r"(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])(?=[^0-9]*[0-9])[A-Za-z0-9_-]{20,}")
"""What base64url makes, if a part of it is no ``_NAME_PART``."""
_NAME_PART: Final = re.compile(r"[A-Z]?[a-z]*[0-9]*|[A-Z]+[0-9]*|[0-9]+[a-z]?|(?:[A-Z]?[a-z]{2,})+[0-9]*")
_HEX: Final = re.compile(r"(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{16,}")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_ASSIGNED: Final = re.compile(r"[\w-]+(?=\s*[:=])")


def is_secret_name(name: str) -> bool:
    """Whether the value of this name is a credential: of ``API_KEY``, ``token``, ``Authorization``, but not ``keyboard``."""
    plain = _OTHER_WORDS.sub("", name.replace("-", "_"))
    return bool(CREDENTIAL.search(plain) or _MORE_NAMES.search(plain)) and HARMLESS.search(plain) is None


def is_reference(value: str) -> bool:
    """Whether a value only names a variable or a file, as ``${TOKEN}``, ``Bearer $TOKEN`` and ``env:TOKEN`` do."""
    return _REFERENCE.fullmatch(value) is not None


def is_secret(text: str) -> bool:
    """Whether a text holds something that looks generated: long, or letters and digits mixed as no word has them."""
    if _UUID.search(text) is not None or any(_is_generated(run) for run in _RUN.findall(text)):
        return True
    parts = [part for match in _URL_SAFE.finditer(text) for part in re.split("[_-]", match[0])]
    return not all(_NAME_PART.fullmatch(part) for part in parts)


def _is_generated(run: str) -> bool:
    """Whether letters and digits without a break between them come from a generator rather than from a person."""
    size = len(run)
    if run.isdigit():
        return size > 8
    if size < 10:
        return False
    has_digits, is_one_case = any(map(str.isdigit, run)), run in (run.lower(), run.upper())
    if has_digits and (size >= 20 or _turns(run) >= 4 or _HEX.fullmatch(run)):
        return True
    if not is_one_case and _CAMEL.fullmatch(run) is None:
        return True
    return size >= 32 or (size >= 16 and run.isupper())


def _turns(run: str) -> int:
    """How often digits and letters follow one another."""
    return sum(one.isdigit() != two.isdigit() for one, two in pairwise(run))


def is_harmless(value: str, *, with_words: bool = True) -> bool:
    """Whether a value is of a form that no secret has: empty, a number, a version, a host, a path, or plain words.

    ``with_words=False`` takes no words, for places where a password may be one.
    """
    if is_secret(value):
        return False
    if not value or is_reference(value) or _HARMLESS.fullmatch(value) or _PATH.fullmatch(value):
        return True
    return with_words and _WORDS.fullmatch(value) is not None


def is_harmless_comment(text: str) -> bool:
    """Whether a comment is plain text: nothing in it looks generated, and it assigns or shows no credential."""
    if any(is_secret_name(name) for name in _ASSIGNED.findall(text)) or is_secret(text):
        return False
    is_about_one = CREDENTIAL.search(text) is not None
    mixed = [run for run in _RUN.findall(text) if _turns(run)]
    return not any(is_about_one or (len(run) >= 6 and _turns(run) > 1) for run in mixed)
