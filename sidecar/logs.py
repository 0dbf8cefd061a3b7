"""The log: an event and key=value pairs on a line, or a JSON object, for our lines and those of every library alike.

``get_logger`` gives a logger whose calls name an event and its values: ``log.info("policies in force", policy_version="3f")``.
Its lines go through the standard library's ``logging``, whose own calls come out in the same form. Values are for what
programs look for; none may be a secret or a part of a message, because nothing is masked here.
"""

import json
import logging
import re
import sys
from typing import Any, Final, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor

LogFormat = Literal["text", "json"]

_QUIET: Final = ("urllib3", "mitmproxy")
"""Libraries whose notes quote addresses and traffic: only their errors are shown."""

_BARE: Final = re.compile(r"[^\s\"'=\\\x00-\x1f\x7f]+\Z")
"""A value that needs no quotes."""

structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        # From here on the standard library has it: the event as the message, the values as the record's extra fields.
        structlog.stdlib.render_to_log_kwargs,
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a part of the program; ``name`` is shown on each of its lines."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def configure(log_format: LogFormat, stream: TextIO | None = None) -> None:
    """Send everything that is logged from INFO up to ``stream`` (stderr by default), one event a line."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_facts(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _as_json if log_format == "json" else _as_text,
            ],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)


def _facts() -> list[Processor]:
    """What every line says beside its event: the values, when, how grave, who."""
    return [
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
    ]


def _as_json(_: Any, __: str, event: EventDict) -> str:
    first = {name: event.pop(name) for name in ("time", "level", "logger", "event")}
    return orjson.dumps({**first, **event}, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _as_text(_: Any, __: str, event: EventDict) -> str:
    """``TIME LEVEL LOGGER  EVENT  key=value …``; lists, and texts of several lines such as a traceback, follow indented."""
    head = f"{event.pop('time')} {event.pop('level'):<7} {event.pop('logger')}  {event.pop('event')}"
    blocks = {
        name: value if isinstance(value, list) else str(value).splitlines()
        for name, value in event.items()
        if isinstance(value, list) or "\n" in str(value)
    }
    pairs = " ".join(f"{name}={_quoted(value)}" for name, value in event.items() if name not in blocks)
    lines = [f"{head}  {pairs}" if pairs else head]
    for block in blocks.values():
        lines += [f"    {line}" for line in block]
    return "\n".join(lines)


def _quoted(value: Any) -> str:
    text = str(value)
    return text if _BARE.match(text) else json.dumps(text, ensure_ascii=False)
