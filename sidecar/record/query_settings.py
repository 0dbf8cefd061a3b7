"""The engine's settings for one read query: those a client may choose, and the limits it cannot change."""

import re
from collections.abc import Mapping
from typing import Any, Final

from sidecar import limits

_CARRIED: Final = frozenset(
    {
        *("database", "default_format", "query_id", "session_id", "session_timeout", "session_check", "quota_key"),
        *("role", "wait_end_of_query", "buffer_size", "compress", "decompress", "enable_http_compression"),
        *("client_protocol_version", "send_progress_in_http_headers", "http_headers_progress_interval_ms"),
        *("http_zlib_compression_level", "readonly", "date_time_input_format", "log_comment", "stacktrace"),
        *("cast_string_to_dynamic_use_inference", "cancel_http_readonly_queries_on_client_close"),
    }
)
"""URL parameters that belong to the interface, or that clients always send and that have no effect here."""

_CHOSEN: Final = frozenset({"limit", "offset", "final", "max_threads", "session_timezone", "date_time_output_format"})
_BOUNDED: Final = {
    "max_execution_time": limits.READ_SECONDS_MAX,
    "max_result_rows": limits.READ_ROWS_MAX,
    "max_result_bytes": limits.READ_RESULT_BYTES_MAX,
    "max_memory_usage": limits.READ_MEMORY_BYTES_MAX,
}
"""Limits that a client may lower."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,99}\Z")


def refused_setting(given: Mapping[str, str]) -> str | None:
    """The first name among ``given`` that a client may not set."""
    for name in given:
        is_chosen = name in _CHOSEN or name in _BOUNDED or name.startswith("output_format_")
        if name not in _CARRIED and not (is_chosen and _NAME.match(name)):
            return name[:100]
    return None


def limit_session(handle: Any, given: Mapping[str, str], database: str, *, is_readonly: bool) -> None:
    """Prepare a new handle for one query: the database, the client's settings, the limits and read-only mode.

    ``is_readonly`` is false only for the query for the settings that may be sent, whose result it would change.

    Raises:
        RuntimeError: the engine refuses a value; its message is the one to show.
    """
    # The engine's own database "default" shows files as tables: clients that name it mean ours.
    chosen = given.get("database") or "default"
    handle.query(f"USE {_quoted(database if chosen == 'default' else chosen, '`')}")
    settings = {name: value for name, value in given.items() if name not in _CARRIED and name not in _BOUNDED}
    for name, most in _BOUNDED.items():
        settings[name] = _at_most(given.get(name, ""), most)
    settings["max_threads"] = _at_most(given.get("max_threads", ""), 4)
    settings["result_overflow_mode"] = settings["timeout_overflow_mode"] = "throw"
    if is_readonly:
        settings["readonly"] = "1"
    handle.query("SET " + ", ".join(f"{name} = {_quoted(value, chr(39))}" for name, value in settings.items()))


def _at_most(asked: str, most: int) -> str:
    """A number no larger than ``most``; 0, which means unlimited, becomes ``most``."""
    try:
        value = float(asked)
    except ValueError:
        return str(most)
    return str(int(value) if 1 <= value < most else most)


def _quoted(text: str, mark: str) -> str:
    return mark + text.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark
