"""Personal data for ``${fake:…}``: nobody's, drawn from a seed and kept when its country's rule would allow it.

Most rules allow one number in ten or in a hundred, so a few draws suffice; no id of a real person stands in any file.
"""

import random
import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from typing import Final

from sidecar.detect import IDS, Id
from sidecar.detect.personal import mrz_check_digit

Chance = random.Random

_DRAWS_MAX: Final = 100_000
_DAY_FIRST: Final = date(1950, 1, 1).toordinal()
_DAY_LAST: Final = date(1999, 12, 28).toordinal()
_PART: Final = re.compile(r"\{[A-Za-z.]+\}|.")
_DAYS: Final = {"{ymd}": "%y%m%d", "{dmy}": "%d%m%y", "{Ymd}": "%Y%m%d", "{dmY}": "%d%m9%y", "{y.m.d}": "%y.%m.%d"}
_AREAS: Final = (202, 212, 303, 305, 312, 404, 415, 503, 512, 602, 617, 702, 713, 804, 808, 907)
_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def _drawn(form: str, chance: Chance) -> str:
    """A text of the form: digits for ``#``, letters for ``@``, a day for ``{ymd}``."""
    day = date.fromordinal(chance.randint(_DAY_FIRST, _DAY_LAST))
    return "".join(
        chance.choice("0123456789") if part == "#"
        else chance.choice(_LETTERS) if part == "@"
        else day.strftime(_DAYS[part]) if part in _DAYS
        else part
        for part in _PART.findall(form)
    )  # fmt: skip


def national_id(each: Id, chance: Chance) -> str:
    """A number that the rule of this id allows."""
    for _ in range(_DRAWS_MAX):
        number = _drawn(each.form, chance)
        if number[0] != "0" and len(set(number)) > 3 and each.is_issued(number):
            return number
    raise ValueError(f"the form of {each.kind} never meets its rule")


def _phone(chance: Chance) -> str:
    """A number of those that North America keeps free for fiction (555-0100 to 555-0199): it rings nowhere."""
    return f"+1 {chance.choice(_AREAS)}-555-01{chance.randint(0, 99):02}"


def _birth_date(chance: Chance) -> str:
    return date.fromordinal(chance.randint(_DAY_FIRST, _DAY_LAST)).isoformat()


def _passport(chance: Chance) -> str:
    """The second line of a passport of Utopia, the state that ICAO 9303 uses for specimens."""
    number = f"L{chance.randint(10**7, 10**8 - 1)}"
    born, until = _drawn("{ymd}", chance), "320415"
    line = f"{number}{mrz_check_digit(number)}UTO{born}{mrz_check_digit(born)}F{until}{mrz_check_digit(until)}{'<' * 14}0"
    return line + mrz_check_digit(line[:10] + line[13:20] + line[21:43])


def _ip(chance: Chance) -> str:
    return ".".join(str(chance.randint(11, 99)) for _ in range(4))


MAKERS: Final[Mapping[str, Callable[[Chance], str]]] = {
    "phone": _phone,
    "birth_date": _birth_date,
    "passport": _passport,
    "ip": _ip,
    **{kind.removeprefix("pii.").replace("-", "_"): partial(national_id, each) for kind, each in IDS.items()},
}
"""By the name in ``${fake:…}``; an id's is its kind with underscores (``br_cpf``)."""
