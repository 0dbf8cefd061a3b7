"""Credentials whose inner structure is checked: private keys, JSON Web Tokens, tokens with an encoded user id."""

import base64
import json
import re
from typing import Final

from sidecar.detect.kinds import BEFORE, PLACEHOLDER, Candidate, Detector, is_filled_in
from sidecar.detect.prefilter_groups import BASE64_RUN
from sidecar.detect.secrets.shapes import HEX, PATH, WORD


def _is_jwt(candidate: Candidate) -> bool:
    """The header of a JSON Web Token is an object that names an algorithm (RFC 7515 4.1.1, RFC 7516 4.1.2)."""
    head = candidate.value.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, RecursionError):
        return False
    return isinstance(header, dict) and ("alg" in header or "enc" in header)


def _is_jwt_in_base64(candidate: Candidate) -> bool:
    """Three parts with points between, of which the first is an object."""
    value = candidate.value.rstrip("=")
    try:
        inner = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        head, *rest = inner.split(b".")
        header = json.loads(base64.urlsafe_b64decode(head + b"=" * (-len(head) % 4)))
    except (ValueError, RecursionError):
        return False
    return len(rest) >= 2 and isinstance(header, dict)


def _is_private_key(candidate: Candidate) -> bool:
    """A key has a body; source code that only names header and footer has none."""
    body = candidate.value.split("-----")[2]
    return bool(re.search(r"[0-9A-Za-z+/=]{40}", body)) and not PLACEHOLDER.search(body[:80])


def _is_discord_token(candidate: Candidate) -> bool:
    """The first part of a bot's token is its numeric user id in base64."""
    head = candidate.value.partition(".")[0]
    try:
        return base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)).isdigit()
    except ValueError:
        return False


_KEY_HEADER: Final = r"-----BEGIN[ A-Z0-9_-]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_KEY_FOOTER: Final = r"-----END[ A-Z0-9_-]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_KEY: Final = rf"{_KEY_HEADER}(?:(?:[^-{{}}<>$;]|-[^-])*?{_KEY_FOOTER}|[A-Za-z0-9+/=\s\\]+)"
_KEY_BYTES_MAX: Final = 16_384
"""The longest private key in use (RSA of 16,384 bits) takes 12,700 characters."""
_JWT_BYTES_MAX: Final = 16_384
"""Web servers refuse longer headers, so that no token that anyone sends is longer."""
_SERVICE_ACCOUNT: Final = rf"private_key_id\W{{1,12}}{HEX}{{40}}\W{{1,16}}private_key\W{{1,12}}"

DETECTORS: Final[tuple[Detector, ...]] = (
    Detector(
        "secrets.gcp-service-account",
        "private key in a Google service account's file, known by the key id before it",
        prefilter=rf"{_SERVICE_ACCOUNT}{_KEY_HEADER}",
        pattern=rf"{_SERVICE_ACCOUNT}({_KEY})",
        confidence=0.99,
        tail=_KEY_BYTES_MAX,
        check=_is_private_key,
    ),
    Detector(
        "secrets.private-key",
        "private key in PEM or OpenPGP armour, also encrypted or cut off; not a header without body, not a public key",
        prefilter=_KEY_HEADER,
        pattern=f"({_KEY})",
        confidence=0.99,
        tail=_KEY_BYTES_MAX,
        check=_is_private_key,
    ),
    Detector(
        "secrets.jwt",
        "JSON Web Token, signed or encrypted; its header must name an algorithm",
        prefilter=rf"eyJ{WORD}{{12,}}\.{WORD}{{8}}",
        pattern=rf"(eyJ{WORD}{{12,}}(?:\.{WORD}*){{2,4}})",
        confidence=0.95,
        lead=4096,
        tail=_JWT_BYTES_MAX,
        check=_is_jwt,
    ),
    Detector(
        "secrets.jwt",
        "the same once more in base64",
        prefilter=rf"ZXlK{PATH}{{20}}",
        pattern=rf"{BEFORE}(ZXlK[0-9A-Za-z+/_-]{{60,}}={{0,2}})",
        confidence=0.95,
        tail=_JWT_BYTES_MAX,
        check=_is_jwt_in_base64,
    ),
    Detector(
        "secrets.discord-token",
        "token of a Discord bot",
        prefilter=rf"[MNO]{WORD}{{23,27}}\.{WORD}{{6}}\.{WORD}{{27}}",
        pattern=rf"{BEFORE}([MNO]{WORD}{{23,27}}\.{WORD}{{6}}\.{WORD}{{27,40}})",
        confidence=0.99,
        check=_is_discord_token,
        group=BASE64_RUN,
    ),
    Detector(
        "secrets.azure-key",
        "account key of Azure storage, Cosmos DB, Service Bus or Event Hubs in a connection string",
        prefilter=r"(?i)(?:Account|SharedAccess)Key=[0-9A-Za-z+/]{40}",
        pattern=r"(?i)(?:Account|SharedAccess)Key=([0-9A-Za-z+/]{40,90}={1,2})",
        confidence=0.99,
        check=is_filled_in,
    ),
)
