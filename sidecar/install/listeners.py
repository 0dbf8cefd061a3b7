"""The ``servers`` of ``sidecar.yaml``: listeners are added and removed as lines of its text; comments and order stay."""

import json
import os
import re
import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from sidecar import settings
from sidecar.errors import SettingsError
from sidecar.install.tree import Edit, apply
from sidecar.wrap.socket_path import DEFAULT_SETTINGS, default_settings

FIRST_PORT: Final = 9001
"""The first port to try; the documentation uses it too."""
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*(?:://[A-Za-z0-9.-]+(?::[0-9]+)?)?|[0-9]+(?:\.[0-9]+){3}:[0-9]+")
_COMMA_AND_COMMENT: Final = re.compile(r"[ \t]*,[ \t]*(?:#[^\r\n]*)?(?=\r?\n)")
_WORDS: Final = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
_NEW: Final = "# Settings of the MCP sidecar, made by `sidecar install`. Paths in it are relative to its folder.\nservers: []\n"


@dataclass(frozen=True, slots=True)
class ListenerEntry:
    """One server of the settings with a listener."""

    name: str
    listen: str
    upstream: str

    def __str__(self) -> str:
        return f"{{name: {_quoted(self.name)}, listen: {_quoted(self.listen)}, upstream: {_quoted(self.upstream)}}}"

    @property
    def address(self) -> str:
        """``http://host:port`` for clients on this machine; a listener on all addresses is called by loopback."""
        host, _, port = self.listen.rpartition(":")
        here = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
        return f"http://{here}:{port}"


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else json.dumps(text, ensure_ascii=False)


def free_ports(taken: Collection[int]) -> Iterable[int]:
    """Ports from ``FIRST_PORT`` on that are neither ``taken`` nor in use, in ascending order."""
    for port in range(FIRST_PORT, 65536):
        if port in taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port


def new_settings(file: Path) -> str:
    """The text of a settings file that does not exist yet; the user-wide one is as ``sidecar wrap`` would write it."""
    return DEFAULT_SETTINGS if file.resolve() == Path(default_settings()).resolve() else _NEW


def add(text: str, new: Sequence[ListenerEntry]) -> str:
    """The settings' text with more servers, in the style in which the present ones are written."""
    if not new:
        return text
    line_end = "\r\n" if "\r\n" in text else "\n"
    servers, key = _servers(text)
    if key is None:
        gap = "" if not text or text.endswith("\n") else line_end
        return text + gap + "servers:" + line_end + "".join(f"  - {each}{line_end}" for each in new)
    if servers is None or not servers.value:
        start, end = (servers.start_mark.index, servers.end_mark.index) if servers is not None else (key, key)
        lines = "".join(f"{line_end}  - {each}" for each in new)
        start -= len(text[:start]) - len(text[:start].rstrip(" "))
        return apply(text, [Edit(start, end, lines)])
    last = servers.value[-1]
    end = _end(last)
    if servers.flow_style:
        before = text[: last.start_mark.index]
        space = before[len(before.rstrip(" \t\r\n")) :] or " "
        if "\n" in space and (rest := _COMMA_AND_COMMENT.match(text, end)):
            return apply(text, [Edit(rest.end(), rest.end(), "".join(f"{space}{each}," for each in new))])
        return apply(text, [Edit(end, end, "".join(f",{space}{each}" for each in new))])
    indent = " " * servers.start_mark.column
    at = text.find("\n", end)
    lines = "".join(f"{indent}- {each}{line_end}" for each in new)
    if at < 0:
        return text + line_end + lines.removesuffix(line_end)
    return apply(text, [Edit(at + 1, at + 1, lines)])


def remove(text: str, old: Sequence[ListenerEntry]) -> str:
    """The settings' text without these servers; one that was edited since is no longer ours, and stays."""
    servers, _ = _servers(text)
    if servers is None:
        return text
    ours = [index for index, item in enumerate(servers.value) if _listener(item) in old]
    if len(ours) == len(servers.value):
        return apply(text, [Edit(servers.start_mark.index, _end(servers), "[]")]) if ours else text
    edits = []
    for index in ours:
        item = servers.value[index]
        start, end = item.start_mark.index, _end(item)
        line = text.rfind("\n", 0, start) + 1
        stop = text.find("\n", end)
        is_line = text[line:start].strip() == ("" if servers.flow_style else "-")
        if is_line and (not servers.flow_style or text[end : stop + 1].strip() == ","):
            edits.append(Edit(line, stop + 1 if stop >= 0 else len(text), ""))
        elif not servers.flow_style:
            continue
        elif index + 1 < len(servers.value) and (index + 1 not in ours or set(range(index)) <= set(ours)):
            edits.append(Edit(start, servers.value[index + 1].start_mark.index, ""))
        else:
            edits.append(Edit(_end(servers.value[index - 1]) if index else start, end, ""))
    return apply(text, edits)


def _listener(item: Any) -> ListenerEntry | None:
    if not isinstance(item, yaml.MappingNode):
        return None
    value = {str(key.value): str(each.value) for key, each in item.value}
    return ListenerEntry(**value) if set(value) == {"name", "listen", "upstream"} else None


def _servers(text: str) -> tuple[Any, int | None]:
    """The node of ``servers`` (None if it is empty or no list), and the end of its key (None if there is no key)."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for key, value in root.value if isinstance(root, yaml.MappingNode) else []:
        if key.value == "servers":
            colon = text.index(":", key.end_mark.index) + 1
            return (value if isinstance(value, yaml.SequenceNode) else None), colon
    return None, None


def _end(node: Any) -> int:
    """The end of a node's last character; the parser's own end mark of a block is at whatever follows."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    key, value = last if isinstance(last, tuple) else (last, last)
    end = _end(value)
    return end if end > key.start_mark.index else int(key.end_mark.index) + 1


def verify(file: Path, text: str, environ: Mapping[str, str] = os.environ) -> None:
    """Check that settings would load from ``file`` with this text, before anything is replaced.

    Raises:
        SettingsError: they would not; nothing was changed.
    """
    # Beside the real file, because paths are relative to its folder; under another name, because the real one may be in use.
    folder = next(each for each in (file.parent, *file.parents) if each.is_dir())
    draft = folder / f".{file.name}.{os.getpid()}"
    try:
        draft.write_text(text, "utf-8", newline="")
        settings.load(draft, environ)
    except OSError as error:
        raise SettingsError(
            f"{file}: error[unwritable]: cannot be written there: {error.strerror}; name another with -c"
        ) from None
    except SettingsError as error:
        raise SettingsError(
            str(error).replace(str(draft), str(file)) + "\n(the settings as they would be; none changed)"
        ) from None
    finally:
        draft.unlink(missing_ok=True)
