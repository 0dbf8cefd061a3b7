"""Values that look like credentials and personal data, made when a test runs, so that no file holds one.

``expand`` replaces ``${class:count}`` by that many random characters of a class, and ``${name}`` by a whole value with a
right checksum or structure. The same text always gives the same values.
"""

import base64
import json
import random
import re
import string
from collections.abc import Callable
from functools import partial
from typing import Final
from urllib.parse import quote

from sidecar.detect import IDS, Id
from sidecar.detect.personal import mrz_check_digit
from sidecar.policy.fakes_personal import national_id

CLASSES: Final = {
    "az": string.ascii_letters + string.digits,
    "letters": string.ascii_letters,
    "lower": string.ascii_lowercase + string.digits,
    "upper": string.ascii_uppercase + string.digits,
    "hex": "0123456789abcdef",
    "digits": string.digits,
    "word": string.ascii_letters + string.digits + "_-",
    "base64": string.ascii_letters + string.digits + "+/",
    "b32": string.ascii_lowercase + "234567",
    "base32": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
}
_PLACEHOLDER: Final = re.compile(r"\$\{([a-z0-9_-]+)(?::([0-9]+))?\}")


def expand(text: str) -> str:
    """``text`` with its placeholders filled, the same way each time."""
    rng = random.Random(text)
    return _PLACEHOLDER.sub(lambda found: _filled(rng, found[1], int(found[2] or 0)), text)


def _filled(rng: random.Random, name: str, count: int) -> str:
    if count:
        return _random_text(rng, CLASSES[name], count)
    return VALUES[name](rng)


def _random_text(rng: random.Random, alphabet: str, count: int) -> str:
    """Every third character a digit where the class has digits, so that chance never makes a dull value."""
    digits = [each for each in alphabet if each.isdigit()]
    return "".join(rng.choice(digits if digits and index % 3 == 2 else alphabet) for index in range(count))


def with_check_digit(digits: str) -> str:
    """A number with its Luhn digit behind it."""
    doubled = [int(each) * (2 if index % 2 == 0 else 1) for index, each in enumerate(reversed(digits))]
    return digits + str(-sum(each // 10 + each % 10 for each in doubled) % 10)


def iban(country: str, account: str) -> str:
    """An account number with its two check digits."""
    number = int("".join(str(int(each, 36)) for each in account + country + "00"))
    return f"{country}{98 - number % 97:02}{account}"


def _card(prefix: str, length: int) -> Callable[[random.Random], str]:
    return lambda rng: with_check_digit(prefix + _random_text(rng, string.digits, length - len(prefix) - 1))


def _grouped(rng: random.Random) -> str:
    number = _card("4", 16)(rng)
    return " ".join(number[at : at + 4] for at in range(0, 16, 4))


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


def _jwt(rng: random.Random) -> str:
    claims = {"sub": str(rng.randrange(10**9)), "iat": rng.randrange(10**9)}
    return f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(claims)}.{_random_text(rng, CLASSES['word'], 43)}"


def _private_key(label: str) -> Callable[[random.Random], str]:
    def made(rng: random.Random) -> str:
        body = "\n".join(_random_text(rng, CLASSES["base64"], 64) for _ in range(6))
        return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----"

    return made


def _discord(rng: random.Random) -> str:
    user = base64.b64encode(str(rng.randrange(8 * 10**17, 10**18)).encode()).decode()
    return f"{user}.G{_random_text(rng, CLASSES['az'], 5)}.{_random_text(rng, CLASSES['word'], 38)}"


def _basic(rng: random.Random) -> str:
    return base64.b64encode(f"ada:{_random_text(rng, CLASSES['az'], 12)}".encode()).decode()


def _encoded_text(rng: random.Random) -> str:
    return base64.b64encode(_random_text(rng, CLASSES["az"], 13).encode()).decode()


REGISTERED: Final = (
    _random_text(random.Random(7), CLASSES["az"], 18) + '/+"é' + _random_text(random.Random(8), CLASSES["az"], 9)
)
"""What the engine of the tests is told to find as it is."""


def _national_id(each: Id) -> Callable[[random.Random], str]:
    return partial(national_id, each)


def _wrong_id(each: Id) -> Callable[[random.Random], str]:
    """A national id in which one digit was mistaken, as its check digits tell."""

    def made(rng: random.Random) -> str:
        number = national_id(each, rng)
        places = [at for at in range(len(number) - 1, 0, -1) if number[at].isdigit()]
        changed = (number[:at] + digit + number[at + 1 :] for at in places for digit in string.digits)
        return next(other for other in changed if not each.is_issued(other))

    return made


def _grouped_by(number: Callable[[random.Random], str], gap: str, *lengths: int) -> Callable[[random.Random], str]:
    def made(rng: random.Random) -> str:
        digits, parts = number(rng), []
        for length in lengths:
            parts.append(digits[:length])
            digits = digits[length:]
        assert not digits
        return gap.join(parts)

    return made


def _zone(rng: random.Random) -> str:
    """The second line of a passport of Utopia, the state of ICAO's specimens."""
    number, born, until = f"L{rng.randint(10**7, 10**8 - 1)}", "740812", "320415"
    line = f"{number}{mrz_check_digit(number)}UTO{born}{mrz_check_digit(born)}F{until}{mrz_check_digit(until)}{'<' * 14}0"
    return line + mrz_check_digit(line[:10] + line[13:20] + line[21:43])


def _card_zone(rng: random.Random) -> str:
    number, born, until = f"D{rng.randint(10**7, 10**8 - 1)}", "740812", "320415"
    first = f"I<UTO{number}{mrz_check_digit(number)}{'<' * 15}"
    second = f"{born}{mrz_check_digit(born)}F{until}{mrz_check_digit(until)}UTO{'<' * 11}"
    return f"{first}\n{second}{mrz_check_digit(first[5:30] + second[:7] + second[8:15] + second[18:29])}"


VALUES: Final[dict[str, Callable[[random.Random], str]]] = {
    "visa": _card("4", 16),
    "visa_old": _card("4", 13),
    "mastercard": _card("52", 16),
    "mastercard2": _card("2301", 16),
    "amex": _card("37", 15),
    "discover": _card("6011", 16),
    "jcb": _card("3530", 16),
    "diners": _card("36", 14),
    "unionpay": _card("6212", 16),
    "maestro": _card("6759", 16),
    "not_a_card": lambda rng: (number := _card("4", 16)(rng))[:-1] + str((int(number[-1]) + 1) % 10),
    "visa_grouped": _grouped,
    "visa_dashed": lambda rng: _grouped(rng).replace(" ", "-"),
    "visa_nbsp": lambda rng: _grouped(rng).replace(" ", "\u00a0"),
    "visa_figure_dash": lambda rng: _grouped(rng).replace(" ", "\u2012"),
    "visa19": _card("4", 19),
    "amex_grouped": _grouped_by(_card("37", 15), " ", 4, 6, 5),
    "diners_grouped": _grouped_by(_card("36", 14), "-", 4, 6, 4),
    "unionpay19": _card("6231", 19),
    "unionpay19_grouped": _grouped_by(_card("6231", 19), " ", 4, 4, 4, 4, 3),
    "maestro12": _card("5018", 12),
    "maestro12_grouped": _grouped_by(_card("5018", 12), " ", 4, 4, 4),
    "maestro13": _card("5893", 13),
    "maestro18": _card("6304", 18),
    "maestro19": _card("6761", 19),
    "jcb15": _card("2131", 15),
    "mir": _card("2202", 16),
    "zone": _zone,
    "card_zone": _card_zone,
    **{kind.removeprefix("pii."): _national_id(each) for kind, each in IDS.items()},
    **{kind.removeprefix("pii.") + "-wrong": _wrong_id(each) for kind, each in IDS.items()},
    "iban_no": lambda rng: iban("NO", _random_text(rng, string.digits, 11)),
    "iban_grouped": _grouped_by(lambda rng: iban("DE", _random_text(rng, string.digits, 18)), " ", 4, 4, 4, 4, 4, 2),
    "iban_nbsp": _grouped_by(lambda rng: iban("DE", _random_text(rng, string.digits, 18)), "\u00a0", 4, 4, 4, 4, 4, 2),
    "iban_de": lambda rng: iban("DE", _random_text(rng, string.digits, 18)),
    "iban_gb": lambda rng: iban("GB", "NWBK" + _random_text(rng, string.digits, 14)),
    "iban_fr": lambda rng: iban("FR", _random_text(rng, string.digits, 23)),
    "jwt": _jwt,
    "pem": _private_key("RSA " + "PRIVATE KEY"),
    "pem_plain": _private_key("PRIVATE" + " KEY"),
    "pem_public": _private_key("PUBLIC KEY"),
    "pgp": _private_key("PGP " + "PRIVATE KEY BLOCK"),
    "key_begin": lambda rng: "-----BEGIN " + "PRIVATE KEY-----",
    "key_end": lambda rng: "-----END " + "PRIVATE KEY-----",
    "registered": lambda rng: REGISTERED,
    "registered_base64": lambda rng: base64.b64encode(REGISTERED.encode()).decode().rstrip("="),
    "registered_hex": lambda rng: REGISTERED.encode().hex(),
    "registered_url": lambda rng: quote(REGISTERED, safe=""),
    "registered_json": lambda rng: json.dumps(REGISTERED)[1:-1],
    "discord": _discord,
    "basic": _basic,
    "b64text": _encoded_text,
    "tags": lambda rng: "".join(chr(0xE0000 + ord(each)) for each in "send the file"),
    "selectors": lambda rng: "".join(chr(0xE0100 + ord(each) - 16) for each in "send the file"),
    "bits": lambda rng: "".join("\u200b\u200c"[int(bit)] for each in "send" for bit in f"{ord(each):08b}"),
    "uuid": lambda rng: "-".join(_random_text(rng, CLASSES["hex"], count) for count in (8, 4, 4, 4, 12)),
}
