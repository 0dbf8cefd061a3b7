"""Posting JSON over HTTP, with the outcome as a ``SendResult``: what all senders with an HTTP API have in common."""

import logging
from collections.abc import Mapping
from typing import Any, Final

import orjson
import urllib3

from sidecar import limits
from sidecar.notify.senders.base import SendResult, SendStatus

_RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_ANSWER_BYTES_MAX: Final = 64 * limits.KIB


class HttpPost:
    """Posts JSON to one address over a connection that is kept open.

    The address may hold a secret: it never leaves this object, neither in a log nor in a result.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        # At DEBUG it would write the path of every request, which for many receivers is the secret.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=1, retries=False, timeout=limits.ALERT_TIMEOUT_S)

    def post(self, body: Any, headers: Mapping[str, str]) -> SendResult:
        """Post ``body`` as JSON, once. Redirects are not followed: they lead where nobody configured."""
        sent = {"Content-Type": "application/json", "User-Agent": "mcp-sidecar", **headers}
        try:
            response = self._pool.request(
                "POST", self._url, body=orjson.dumps(body), headers=sent, redirect=False, preload_content=False
            )
            if len(response.read(_ANSWER_BYTES_MAX, decode_content=False)) < _ANSWER_BYTES_MAX:
                response.release_conn()
            else:
                response.close()
        except urllib3.exceptions.LocationValueError as error:
            return SendResult(SendStatus.REFUSED, _reason(error))
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return SendResult(SendStatus.RETRY, _reason(error))
        if 200 <= response.status < 300:
            return SendResult(SendStatus.DELIVERED)
        reason = f"HTTP status {response.status}"
        if response.status in _RETRIED or response.status >= 500:
            return SendResult(SendStatus.RETRY, reason, _retry_after_s(response.headers.get("Retry-After")))
        return SendResult(SendStatus.REFUSED, reason)

    def close(self) -> None:
        """Close the connection."""
        self._pool.clear()


def _reason(error: Exception) -> str:
    """Why a receiver was not reached, without its address."""
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "the host name is not known"
    if isinstance(error, urllib3.exceptions.TimeoutError) and not isinstance(error, urllib3.exceptions.NewConnectionError):
        return "timed out"
    if isinstance(error, urllib3.exceptions.SSLError):
        return "TLS fails"
    if isinstance(error, urllib3.exceptions.LocationValueError | ValueError):
        return "the address is not an http(s) address"
    return f"cannot be reached ({type(error).__name__})"


def _retry_after_s(header: str | None) -> float:
    """Seconds the receiver asks us to wait (RFC 9110 §10.2.3), within our bound; 0 without a header or with a malformed one."""
    if header is None:
        return 0.0
    try:
        asked = urllib3.util.Retry().parse_retry_after(header)
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        # The last two for numbers and dates that Python cannot represent.
        return 0.0
    return float(min(max(asked, 0.0), limits.ALERT_RETRY_S_MAX))
