"""``${fake:aws_key}`` in tests of policies: values that look real, made when a test runs and assembled from parts.

So neither policy files nor this file hold anything that another program would take for a leaked credential. The same
name always gives the same value; ``${fake:card#2}`` gives a second, different one.
"""

import base64
import json
import random
import re
import string
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from sidecar.policy import fakes_personal

_FAKE: Final = re.compile(r"\$\{fake:([^}]*)\}")
_NAME: Final = re.compile(r"([a-z_]+)(?:#([1-9][0-9]{0,3}))?\Z")
_ALNUM: Final = string.ascii_letters + string.digits
_UPPER: Final = string.ascii_uppercase + string.digits
_PEOPLE: Final = ("ada.lovelace", "grace.hopper", "alan.turing", "emmy.noether", "kurt.goedel")

Chance = random.Random


def _some(chance: Chance, alphabet: str, count: int) -> str:
    return "".join(chance.choices(alphabet, k=count))


def _base62(number: int, width: int) -> str:
    digits = ""
    alphabet = string.digits + string.ascii_uppercase + string.ascii_lowercase
    while number:
        number, rest = divmod(number, 62)
        digits = alphabet[rest] + digits
    return digits.rjust(width, "0")


def _github_token(chance: Chance) -> str:
    """GitHub ends its tokens with a CRC-32 in base 62, so that scanners can tell real from made up."""
    body = _some(chance, _ALNUM, 30)
    return "gh" + "p_" + body + _base62(zlib.crc32(body.encode()), 6)


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _jwt(chance: Chance) -> str:
    claims = {"sub": _some(chance, string.digits, 10), "name": "Ada", "iat": 1_700_000_000}
    return ".".join((_encoded({"alg": "HS256", "typ": "JWT"}), _encoded(claims), _some(chance, _ALNUM + "-_", 43)))


def _private_key(chance: Chance) -> str:
    lines = [_some(chance, _ALNUM + "+/", 64) for _ in range(6)]
    edge = "PRIVATE" + " KEY-----"
    return "\n".join(("-----BEGIN RSA " + edge, *lines, "-----END RSA " + edge))


def _card(chance: Chance) -> str:
    """A Visa number of 16 digits with its Luhn digit (ISO/IEC 7812-1)."""
    digits = "4" + _some(chance, string.digits, 14)
    total = sum(sum(divmod(int(digit) * (2 - index % 2), 10)) for index, digit in enumerate(digits))
    return digits + str(-total % 10)


def _iban(chance: Chance) -> str:
    """A German IBAN with its check digits (ISO 13616-1)."""
    account = _some(chance, string.digits, 18)
    check = 98 - int(account + "131400") % 97
    return f"DE{check:02d}{account}"


def _ssn(chance: Chance) -> str:
    return f"{chance.randint(100, 665)}-{chance.randint(10, 99)}-{chance.randint(1000, 9999)}"


def _prefixed(head: str, alphabet: str, count: int) -> Callable[[Chance], str]:
    return lambda chance: head + _some(chance, alphabet, count)


_MAKERS: Final[Mapping[str, Callable[[Chance], str]]] = {
    "aws_key": _prefixed("AK" + "IA", string.ascii_uppercase + "234567", 16),
    "github_token": _github_token,
    "gitlab_token": _prefixed("gl" + "pat-", _ALNUM, 20),
    "google_key": _prefixed("AI" + "za", _ALNUM, 35),
    "jwt": _jwt,
    "npm_token": _prefixed("npm" + "_", _ALNUM, 36),
    "password": lambda chance: _some(chance, string.ascii_lowercase, 6) + _some(chance, _UPPER, 4) + "!7x",
    "private_key": _private_key,
    "slack_token": lambda chance: "-".join(
        ("xo" + "xb", _some(chance, "123456789", 12), _some(chance, "123456789", 12), _some(chance, _ALNUM, 24))
    ),
    "slack_webhook": lambda chance: "/".join(
        (
            "https://hooks.slack" + ".com/services",
            "T" + _some(chance, _UPPER, 8),
            "B" + _some(chance, _UPPER, 8),
            _some(chance, _ALNUM, 24),
        )
    ),
    "stripe_key": _prefixed("sk" + "_live_", _ALNUM, 24),
    "documented_aws_key": lambda chance: "AK" + "IA" + _some(chance, _UPPER, 9) + "EXAMPLE",
    "card": _card,
    "iban": _iban,
    "ssn": _ssn,
    "email": lambda chance: f"{chance.choice(_PEOPLE)}{chance.randint(2, 999)}@example.org",
    **fakes_personal.MAKERS,
}

NUMBER: Final = "card_number"
"""The one fake that is a number rather than a text, where it is all that stands there."""
NAMES: Final = (*_MAKERS, NUMBER)


def fake(name: str, number: int = 1) -> str:
    """The fake text called ``name``; ``number`` distinguishes several of a kind."""
    if (name, number) == ("email", 1):
        return f"{_PEOPLE[0]}@example.org"
    return _MAKERS[name](random.Random(f"{name}#{number}"))


def expand(value: Any) -> Any:
    """A copy of ``value`` with every ``${fake:…}`` in its texts and keys replaced."""
    if value == f"${{fake:{NUMBER}}}":
        return int(fake("card"))
    if isinstance(value, str):
        return _FAKE.sub(_one, value)
    if isinstance(value, dict):
        return {expand(key): expand(member) for key, member in value.items()}
    return [expand(member) for member in value] if isinstance(value, list) else value


def unknown_in(value: Any) -> set[str]:
    """The names after ``${fake:`` in ``value`` that are unknown."""
    if isinstance(value, str):
        return {name for name in _FAKE.findall(value) if not _is_known(name)}
    if isinstance(value, dict):
        return set().union(*(unknown_in(key) | unknown_in(member) for key, member in value.items()))
    return set().union(*map(unknown_in, value)) if isinstance(value, list) else set()


def _is_known(name: str) -> bool:
    found = _NAME.match(name)
    return (found is not None and found[1] in _MAKERS) or name == NUMBER


def _one(found: re.Match[str]) -> str:
    name = _NAME.match(found[1])
    return fake(name[1], int(name[2] or 1)) if name is not None and name[1] in _MAKERS else found[0]
