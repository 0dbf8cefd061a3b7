"""Credentials that only the words before them give away: a value under a name, in a URL, in a header.

Their own form says little. So what looks random and is none (cursors, page tokens, digests, UUIDs, ids of calls) and
what documentation writes (``user:password@host``) is left alone, and generic finds are less sure than a vendor's form.
"""

import base64
import re
from typing import Final

from sidecar.detect.kinds import PLACEHOLDER, Candidate, Check, Detector, amid, is_filled_in
from sidecar.detect.prefilter_groups import LOGIN
from sidecar.detect.secrets.credential_context import CREDENTIAL, entropy, is_documented, name_of

_COMMON_WORDS: Final = frozenset(
    """password passwd passphrase pass pwd pw secret token user username login admin root guest test example postgres
    mysql mongo redis rabbitmq foo bar baz none null nil true false undefined string str bytes int integer required
    optional prompt hidden masked default empty unknown""".split()
)
_UUID: Final = re.compile(r"(?i)[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b")
_TAME: Final = re.compile(r"[A-Za-z_]{12,}[./]|[a-z]{9,}|^[a-z_]+\.[a-z_]+|\.\.|//|(?:Private|Public|Secret)Key")
"""Words, paths, attributes of objects."""
_TWO_DIGITS: Final = re.compile(r"[0-9].*[0-9]")
_LEAST: Final = 16
"""Characters of the shortest value without a form of its own."""
_DRAWN: Final = "[0-9A-Za-z+/_.~-]"
_VALUE: Final = f"{_DRAWN}{{{_LEAST},200}}"
_VALUE_BYTES: Final = re.compile(_VALUE.encode())
_WRITTEN_FOR_PASSWORD: Final = re.compile(r"(?i)(?:my|the|db|some|user)?[_-]?(?:pass(?:word|wd)?|pwd?|secret|token)\d?")


def _is_aws_secret(candidate: Candidate) -> bool:
    """Forty characters drawn from base64: not hex, not a path, not the words and few digits of a name."""
    value = candidate.value
    is_name = sum(map(str.isdigit, value)) < 3 and re.search(r"[a-z]{5}", value)
    if is_name or re.fullmatch(r"[0-9a-fA-F]+|[A-Za-z/]+", value) or entropy(value) <= 4:
        return False
    name = name_of(candidate)
    return CREDENTIAL.search(name) is not None or "aws" in name.lower()


def _is_password_in_url(candidate: Candidate) -> float:
    """A password between user and host, unless it is what documentation writes there."""
    word = candidate.value.lower()
    user = candidate.before.rpartition("//")[2].rstrip(":").lower()
    if PLACEHOLDER.search(word) or word[0] in "%[(:" or _WRITTEN_FOR_PASSWORD.fullmatch(word):
        return 0
    return 0.6 if word in _COMMON_WORDS or word == user or len(word) < 5 else 1


def _is_login(candidate: Candidate) -> bool:
    """A bearer token that looks drawn at random, or ``user:password`` in base64 (RFC 7617)."""
    if candidate.before.rstrip()[-5:].lower() != "basic":
        return is_filled_in(candidate) and any(map(str.isdigit, candidate.value)) and entropy(candidate.value) > 3
    try:
        return b":" in base64.b64decode(candidate.value + "=" * (-len(candidate.value) % 4), validate=True)
    except ValueError:
        return False


def _is_password(candidate: Candidate) -> float:
    """No word, no code, no prose; in a query, what follows the first & is another value."""
    value = candidate.value.partition("&")[0]
    if value.lower().rstrip("?") in _COMMON_WORDS or len(set(value)) <= 4 or PLACEHOLDER.search(value):
        return 0
    if re.fullmatch(r"[A-Za-z_.-]+|[0-9.]+|[A-Za-z_]+\.[A-Za-z_]\w*", value) or re.search(
        r"[()\[\]|]|://|^[./~%&@-]|[:=]$", value
    ):
        return 0
    return bool(name_of(candidate))


def _is_drawn_after(data: bytes, end: int) -> bool:
    """Whether the value of which a prefilter has seen ``_LEAST`` characters looks drawn: in code it is nearly always a name."""
    value = _VALUE_BYTES.match(data, end - _LEAST)
    return value is not None and _looks_drawn(value[0].decode())


def _looks_drawn(value: str) -> bool:
    """Whether a generator may have drawn these characters; what is quick to ask comes first."""
    if not _TWO_DIGITS.search(value) or _TAME.search(value):
        return False
    runs = [run for run in re.split(r"[^0-9A-Za-z]", value) if len(run) >= 10]
    if not any(sum(map(str.isdigit, run)) >= 2 and sum(map(str.isalpha, run)) >= 2 for run in runs):
        return False
    if re.fullmatch(r"[0-9a-fA-F]+", value):
        return len(value) in (24, 32, 40, 48, 64) and entropy(value.lower()) > 2.9
    return entropy(value) > 3.3


def _is_random(candidate: Candidate) -> float:
    """Characters as a generator draws them, under a name that says key, token or secret and nothing tamer."""
    value = candidate.value.rstrip("=")
    if not _looks_drawn(value) or _UUID.search(value) or not is_filled_in(candidate) or is_documented(candidate):
        return 0
    return bool(name_of(candidate))


_QUOTES: Final = r"""["'`\\]{0,4}(?:&(?:quot|apos|#3[49]);|(?:u00|x)2[27]|04[27]|%(?:25)?2[27])?"""
"""Also as HTML, JSON in JSON, programs and URLs write them."""
_NAMED_VALUE: Final = rf"(?:{_QUOTES},?\s{{1,20}}{_QUOTES}(?:[Vv]alue|VALUE))?"
"""Lists of variables, as of containers, write a name and its value as two members."""
_COLON: Final = r"=3D|%(?:25)*3[ADad]|\\{1,4}(?:u00|x)3[ADad]"
"""A colon, or what stands for one, as mails, URLs and programs write it."""
_SIGN: Final = rf"{_COLON}|(?:->|[:=?!.|(,]{{1,4}}>?)[ \t]{{0,8}}|[ \t]is[ \t]{{1,4}}|>\s{{0,12}}|\n"
_SET_TO: Final = rf"{_NAMED_VALUE}{_QUOTES}[ \t]{{0,4}}(?:string[ \t])?(?:{_SIGN}){_QUOTES}"
"""What stands between a name and its value in JSON, YAML, XML, code and shells; between leaves it is a line feed."""
_KEY_NAME: Final = (
    r"(?i)(?:(?:api|access|auth|account|private|signing|encryption|master|service|app|application|client|consumer|shared"
    r"|storage)[_ .-]?(?:key|token)|secret|token|credential|_key|_pat)[0-9A-Za-z_.-]{0,20}"
)
_FLAG: Final = rf"(?i)--[a-z-]{{0,30}}(?:key|token|secret)[ \t]{{1,4}}{_QUOTES}"
_DATABASE: Final = (
    r"(?i)(?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|amqps?|mssql|sqlserver|oracle|clickhouse|cockroachdb|neo4j|bolt"
    r"|nats|snowflake|cassandra|couchbases?)(?:\+[a-z0-9_]{1,12})?://"
)
_WEB: Final = r"(?i)(?:https?|s?ftps?|ssh|smtps?|imaps?|ldaps?|git|svn|socks5h?|wss?|rtsp)://"
_LOGIN: Final = r"""[^\s:@/'"<>]{0,64}:([^\s@/'"<>\\]{2,128})@"""
_LOGIN_PREFILTER: Final = "://" + _LOGIN
"""Without the names of schemes, which only take time."""
_PAIRS: Final = r"(?i)(?:server|data source|host|user id|uid|database)=[^;\n]{1,80};(?:[^;\n]{1,80};){0,4}\s?(?:password|pwd)="
_AUTHORIZATION: Final = rf"(?i)authorization{_SET_TO}(?:bearer|basic|token)\s{{1,4}}"
_PASSWORD: Final = (
    rf"(?i)(?:passw(?:or)?d|passphrase|passwort|pwd){_NAMED_VALUE}{_QUOTES}[ \t]{{0,4}}(?:string[ \t])?"
    rf"(?:{_COLON}|[:=]{{1,3}}>?[ \t]{{0,8}}|>\s{{0,12}}|\n){_QUOTES}"
)


def _near(kind: str, about: str, words: str, value: str, check: Check) -> Detector:
    """A value of a plain form at most 60 characters after one of ``words``."""
    left = amid("0-9A-Za-z/+")
    prefilter = rf"(?is)(?:{words}).{{0,60}}{left}(?:{value})(?:[^0-9A-Za-z/+=]|$)"
    pattern = rf"(?is)(?:{words}).{{0,60}}?{left}({value})(?:[^0-9A-Za-z/+=]|$)"
    return Detector(f"secrets.{kind}", about, prefilter, pattern, 0.95, lead=160, check=check)


DETECTORS: Final[tuple[Detector, ...]] = (
    _near(
        "aws-secret",
        "AWS secret access key; no hex, no path",
        r"aws|amazon|secret[_-]?(?:access[_-]?)?key",
        "[0-9A-Za-z/+]{40}",
        _is_aws_secret,
    ),
    Detector(
        "secrets.database-url",
        "password in the address of a database or queue; not one that documentation writes there",
        prefilter=_LOGIN_PREFILTER,
        pattern=_DATABASE + _LOGIN,
        confidence=0.95,
        check=_is_password_in_url,
        group=LOGIN,
    ),
    Detector(
        "secrets.database-url",
        "password in a connection string of key=value pairs",
        prefilter=_PAIRS + r"""[^\s;'"\\]{4}""",
        pattern=_PAIRS + r"""([^\s;'"\\]{4,128})""",
        confidence=0.9,
        lead=512,
        check=_is_password_in_url,
    ),
    Detector(
        "secrets.url-password",
        "password in any other address",
        prefilter=_LOGIN_PREFILTER,
        pattern=_WEB + _LOGIN,
        confidence=0.9,
        check=_is_password_in_url,
        group=LOGIN,
    ),
    Detector(
        "secrets.authorization",
        "bearer token, or user and password, in an Authorization header",
        prefilter=_AUTHORIZATION + r"[0-9A-Za-z._~+/-]{12}",
        pattern=_AUTHORIZATION + r"([0-9A-Za-z._~+/-]{12,600}=*)",
        confidence=0.92,
        tail=700,
        check=_is_login,
    ),
    Detector(
        "secrets.generic",
        "random characters under a name with key, token or secret; not cursors, page tokens, digests, UUIDs, ids",
        prefilter=_KEY_NAME + _SET_TO + f"{_DRAWN}{{{_LEAST}}}",
        pattern=_KEY_NAME + _SET_TO + f"({_VALUE}=*)",
        confidence=0.75,
        check=_is_random,
        precheck=_is_drawn_after,
        effort=20,
    ),
    Detector(
        "secrets.generic",
        "the same after a flag on a command line",
        prefilter=_FLAG + f"{_DRAWN}{{{_LEAST}}}",
        pattern=_FLAG + f"({_VALUE}=*)",
        confidence=0.75,
        check=_is_random,
        precheck=_is_drawn_after,
        effort=20,
    ),
    Detector(
        "secrets.password",
        "anything but a word under a name with password",
        prefilter=_PASSWORD + r"""[^\s'"`,;<>\\]{6}""",
        pattern=_PASSWORD + r"""([^\s'"`,;<>\\]{6,100})""",
        confidence=0.7,
        check=_is_password,
    ),
)
