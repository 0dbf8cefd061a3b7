"""The demo's customers and credentials, made at run time: nothing here is anybody's, and no file holds any of it."""

import random
import string
import zlib
from dataclasses import dataclass

NAMES = (
    "Amara Okafor", "Bruno Salgado", "Chiara Fontana", "Dmitri Ivanov", "Elif Demir", "Farid Haddad", "Greta Holm",
    "Hiro Tanaka", "Ines Moreau", "Jonas Weber", "Katya Petrova", "Liam Byrne", "Mei Chen", "Noor Rahman", "Oskar Wolf",
    "Priya Nair", "Quentin Dubois", "Rosa Jimenez", "Sven Eriksen", "Tala Reyes",
)  # fmt: skip
CITIES = ("Bergen", "Lisbon", "Lyon", "Milan", "Osaka", "Porto", "Vienna")
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


@dataclass(frozen=True)
class Customer:
    """One customer as the CRM keeps them."""

    id: int
    name: str
    email: str
    city: str
    plan: str
    card: str
    iban: str


def make_customers(seed: int) -> tuple[Customer, ...]:
    """The same customers for the same seed, so that server and agent speak of the same people."""
    rng = random.Random(seed)
    return tuple(
        Customer(
            id=number,
            name=name,
            email=f"{name.lower().replace(' ', '.')}@{rng.choice(('fjord', 'harbour', 'meadow'))}.example",
            city=rng.choice(CITIES),
            plan=rng.choice(("free", "team", "business")),
            card=_card(rng),
            iban=_iban(rng),
        )
        for number, name in enumerate(NAMES, start=1)
    )


def make_access_key() -> str:
    """A fresh text in the form of an AWS access key id, which opens nothing."""
    return "AK" + "IA" + "".join(random.SystemRandom().choices(string.ascii_uppercase + "234567", k=16))


def make_token() -> str:
    """A fresh text in the form of a GitHub token, with the checksum a real one ends in (CRC-32 in base 62)."""
    body = "".join(random.SystemRandom().choices(_BASE62, k=30))
    rest, tail = zlib.crc32(body.encode()), ""
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        tail = _BASE62[digit] + tail
    return "gh" + "p_" + body + tail


def _card(rng: random.Random) -> str:
    """Sixteen digits in a range of cards, with the check digit of ISO/IEC 7812 (Luhn)."""
    digits = [4, *(rng.randrange(10) for _ in range(14))]
    doubled = (digit * 2 if place % 2 == 0 else digit for place, digit in enumerate(digits))
    check = -sum(value // 10 + value % 10 for value in doubled) % 10
    text = "".join(map(str, [*digits, check]))
    return " ".join(text[start : start + 4] for start in range(0, 16, 4))


def _iban(rng: random.Random) -> str:
    """A German account number with the check digits of ISO 13616."""
    account = "".join(rng.choices(string.digits, k=18))
    return f"DE{98 - int(f'{account}131400') % 97:02d}{account}"
