"""How calls end and what is odd about messages: the words of the record, as types that the checker knows.

They stand in the columns ``status``, ``error_type``, ``ended`` and ``anomalies`` of the table ``calls``.
"""

from typing import Final, Literal, NewType

Status = Literal["ok", "error", "tool_error", "blocked", "cancelled", "no_response", "upstream_error", "notification", ""]
"""What became of a call; empty while it is open."""

FAILED: Final[tuple[Status, ...]] = ("error", "tool_error", "upstream_error", "no_response")
"""The statuses of calls that did not do what was asked, though no policy wanted that."""

Anomaly = Literal[
    # Two JSON parsers may read the body differently (decode.anomalies).
    "encoded", "charset", "byte-order-mark", "utf-16", "utf-32", "invalid-utf8", "duplicate-key", "lone-surrogate",
    "not-a-number",
    # It is no message, or not one that peers take for the same (decode.jsonrpc).
    "unparsable", "misspelt-key", "too-deep", "too-many", "too-large", "too-long", "batch", "batch-size", "equal-ids", "method",
    "not-a-message", "not-a-name", "not-jsonrpc",
    # It does not fit what came before it, or beside it.
    "answered-twice", "duplicate-id", "header-mismatch", "id-in-other-form", "no-id", "unknown-id", "version-mismatch",
]  # fmt: skip
"""What a well-behaved peer does not do. A request that is refused for it has it as its ``error_type`` too."""

NumberedError = NewType("NumberedError", str)
"""An HTTP status (``http_502``) or a JSON-RPC error code (``-32601``) as an error type."""

ErrorType = (
    Literal[
        "policy", "tool_error", "not_jsonrpc", "answer_to_nothing", "unreadable", "too_large",
        "client_left", "cancelled", "session_ended", "duplicate_id", "forgotten", "wrap_gone",
        "stream_broken", "stream_ended", "server_ended", "timeout", "unreachable",
        "not_recorded", "internal", "sidecar_stopped", "no_response", "",
    ]
    | Anomaly
    | NumberedError
)  # fmt: skip
"""Why a call did not end well; empty when it did."""

Ending = Literal["answer", "refused"] | ErrorType | Status
"""By what a call ended: its answer, a refusal, or else its error type or status."""


def http_error(status: int) -> NumberedError:
    """The error type of an HTTP status."""
    return NumberedError(f"http_{status}")


def rpc_error(code: int) -> NumberedError:
    """The error type of a JSON-RPC error code (JSON-RPC 2.0 §5.1)."""
    return NumberedError(str(code))
