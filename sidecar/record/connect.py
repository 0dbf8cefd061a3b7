"""Connects to ClickHouse over HTTP, and explains a failure in one sentence with how to fix it."""

import logging
import re
from typing import Final

import clickhouse_connect
import urllib3
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from sidecar import limits
from sidecar.addresses import StoreAddress
from sidecar.errors import StoreError

FAILURES: Final = (ClickHouseError, OSError, urllib3.exceptions.HTTPError)
"""The exceptions that a client raises."""

USER_CODES: Final = frozenset({192, 193, 194, 516})
"""ClickHouse error codes that mean the user or the password is not accepted."""

_CODE: Final = re.compile(r"Code: (\d+)")
_NAME: Final = re.compile(r"\(([A-Z][A-Z0-9_]{3,})\)")


def connect(address: StoreAddress, password: str) -> Client:
    """A client of the server at ``address``.

    Raises:
        StoreError: it cannot be reached, or refuses us.
    """
    try:
        return open_client(address, password)
    except FAILURES as error:
        raise explained(error, address) from None


def open_client(address: StoreAddress, password: str) -> Client:
    """A client that several threads may share.

    Raises:
        one of ``FAILURES``: the server cannot be reached or refuses.
    """
    # It warns of every failed request; we report once what failed and how to fix it.
    logging.getLogger("clickhouse_connect").setLevel(logging.ERROR)
    return clickhouse_connect.get_client(
        host=address.host,
        port=address.port,
        username=address.user,
        password=password,
        secure=address.secure,
        compress=False,
        connect_timeout=int(limits.CONNECT_TIMEOUT_S),
        send_receive_timeout=limits.STORE_TIMEOUT_S,
        # A session would let only one query run at a time, and clients are shared by threads.
        autogenerate_session_id=False,
    )


def explained(error: Exception, address: StoreAddress) -> StoreError:
    """What went wrong with the store, in one sentence, with how to fix it."""
    place = f"ClickHouse at {address.host}:{address.port}" if address.kind == "clickhouse" else "the embedded store"
    code, name = error_code(error)
    if code in USER_CODES:
        text = f"{place} refuses the user {address.user!r}: the password is wrong, or there is no such user"
        return StoreError(f"{text}; set SIDECAR_STORE_PASSWORD, and the user in 'store:'")
    if code == 497:
        text = f"{place} does not grant {address.user!r} the rights that recording needs (code 497, {name})"
        return StoreError(f"{text}; grant it CREATE, SELECT and INSERT on {address.database}.*")
    if code is not None:
        return StoreError(f"{place} answers with error code {code} ({name})")
    return StoreError(f"{place} cannot be used: {network_reason(error)}; start it, or fix 'store:' in the settings")


def error_code(error: BaseException) -> tuple[int | None, str]:
    """ClickHouse's error code and its name, when the error carries them."""
    text = str(error)
    code = getattr(error, "code", None)
    if code is None and (found := _CODE.search(text)):
        code = int(found[1])
    named = _NAME.findall(text)
    return code, named[-1] if named else ""


def network_reason(error: BaseException) -> str:
    """Why there was no response, in a few words and without the address, which may hold more than a name."""
    seen: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in seen:
        seen.append(step)
        inner = getattr(step, "reason", None)
        step = inner if isinstance(inner, BaseException) else step.__cause__ or step.__context__
    known = (text for kind, text in _REASONS if any(isinstance(each, kind) for each in seen))
    return next(known, f"its response is not from ClickHouse ({type(error).__name__})")


_REASONS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (urllib3.exceptions.NameResolutionError, "its host name is not known"),
    (urllib3.exceptions.SSLError, "TLS fails; check 'secure=' and the certificate"),
    (ConnectionRefusedError, "nothing listens there"),
    (urllib3.exceptions.ConnectTimeoutError, "it cannot be reached (timed out)"),
    (urllib3.exceptions.ReadTimeoutError, "it does not answer (timed out)"),
    (ConnectionResetError, "it closed the connection"),
    (urllib3.exceptions.ProtocolError, "it closed the connection"),
    (urllib3.exceptions.NewConnectionError, "it cannot be reached"),
)


def first_line(error: BaseException) -> str:
    """The engine's own message, shortened; it may quote SQL, never a password, which is sent in a header."""
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
