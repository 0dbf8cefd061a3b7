"""What of a configuration may be shown: everything but what could be a secret, which is ``***``.

A value is hidden after a name for credentials (a flag, a variable, a header, a key), in a login, or when it looks generated.
Variables, headers and queries, where secrets are common, show only values of harmless forms (``sidecar.install.secret_looks``).
"""

import difflib
import re
from collections.abc import Sequence
from typing import Any, Final

import yaml

from sidecar.install.clients import Client, ConfigLocation
from sidecar.install.entries import ClientEntry, entries
from sidecar.install.jsonc import dump
from sidecar.install.secret_looks import is_harmless, is_harmless_comment, is_reference, is_secret, is_secret_name
from sidecar.install.tree import Edit, Node, Tree, apply, leaves

HIDDEN: Final = "***"
_ASSIGNING: Final = ("-H", "--header", "--headers", "-e", "--env")
"""Flags whose value is ``Name: value`` or ``NAME=value``."""
_SHORT: Final = ("-k", "-p", "-t", "-u", "-a", "-P")
"""Flags that take a password in some programs, and a port or a path in others."""
_ATTACHED: Final = re.compile(r"(-[HekptuaP])(?![a-z][a-z-]+\Z)(.+)", re.DOTALL)
_FLAG: Final = re.compile(r"--[a-z][a-z-]*")
_SWITCH: Final = re.compile(r"--?(?:no|without|disable|skip)-")
_HEADER: Final = re.compile(r"([A-Za-z][\w-]*):\s+(.*)", re.DOTALL)
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(?:([^/?#]*)@)?([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?\Z", re.DOTALL)
_SCHEME: Final = re.compile(r"\b(?:bearer|basic)\s+\S", re.IGNORECASE)
_TOKEN_CHARS_MIN: Final = 16
_SERVER_KEYS: Final = ("name", "listen", "upstream", "payloads")
_CONTEXT_LINES: Final = 2


def shown_url(url: str) -> str:
    """An address without its login and fragment, and with only the harmless parts of its path and query."""
    match = _URL.match(url)
    if match is None:
        return HIDDEN
    scheme, login, host, path, query, fragment = match.groups()
    path = "/".join(HIDDEN if is_secret(part) else part for part in path.split("/"))
    shown = f"{scheme}://{HIDDEN + '@' if login is not None else ''}{host}{path}"
    parts = (query or "")[1:].split("&")
    shown += f"?{'&'.join(_shown_pair(part) for part in parts)}" if query else ""
    return shown + (f"#{HIDDEN}" if fragment else "")


def _shown_pair(text: str) -> str:
    """``NAME=value`` of a query or a variable; a value without a name is hidden unless its form is harmless."""
    name, equals, value = text.partition("=")
    if not equals:
        return shown_value("", text)
    return f"{HIDDEN if is_secret(name) else name}={shown_value(name, value)}"


def shown_value(name: str, value: str, *, with_words: bool = True) -> str:
    """A value where secrets are common: shown if its name is none of a credential, and its form is harmless."""
    if is_secret_name(name):
        return value if not value or is_reference(value) else HIDDEN
    if "://" in value:
        return shown_url(value)
    return value if is_harmless(value, with_words=with_words) else HIDDEN


def shown_args(words: Sequence[str]) -> list[str]:
    """A command's words as they may be shown."""
    shown: list[str] = []
    flag = ""
    for word in words:
        is_value = bool(flag) and _FLAG.fullmatch(word) is None
        shown.append(_shown_after(flag, word) if is_value else _shown_word(word))
        flag = word if word.startswith("-") and "=" not in word and _takes_secret(word) else ""
    return shown


def _takes_secret(flag: str) -> bool:
    return flag in (*_ASSIGNING, *_SHORT) or (is_secret_name(flag.lstrip("-")) and _SWITCH.match(flag) is None)


def _shown_after(flag: str, word: str) -> str:
    """The value of a flag that may take a secret."""
    if flag in _ASSIGNING:
        return _shown_assigned(word)
    return shown_value(flag.lstrip("-"), word, with_words=False)


def _shown_assigned(word: str) -> str:
    """``Name: value`` or ``NAME=value``, whichever it is."""
    if match := _HEADER.fullmatch(word):
        return f"{match[1]}: {shown_value(match[1], match[2])}"
    # A name alone, as in `docker run -e NAME`, is a variable to be handed on.
    return word if re.fullmatch(r"[A-Z][A-Z0-9_]*", word) and not is_secret(word) else _shown_pair(word)


def _shown_word(word: str) -> str:
    if "\n" in word or _SCHEME.search(word):
        return HIDDEN
    name, equals, value = word.partition("=")
    if "://" in word and not (equals and "://" not in name):
        return shown_url(word)
    if match := _ATTACHED.fullmatch(word):
        is_pair = match[1] in _ASSIGNING
        return match[1] + (_shown_assigned(match[2]) if is_pair else shown_value("", match[2], with_words=False))
    if equals and value and not name.startswith("-"):
        return _shown_pair(word)
    if equals and value:
        is_hidden = is_secret_name(name.lstrip("-")) and not is_reference(value)
        return f"{name}={HIDDEN if is_hidden else _shown_word(value)}"
    if _HEADER.fullmatch(word):
        return _shown_assigned(word)
    return HIDDEN if is_secret(word) else word


def shown_file(tree: Tree, client: Client, place: ConfigLocation) -> str:
    """A client's file with everything hidden that could be a secret."""
    judged: dict[int, str] = {}
    for entry in entries(tree, client, place.servers):
        _judge_entry(entry, client, judged)
    edits = [Edit(start, end, _shown_comment(tree.text[start:end])) for start, end in tree.comments]
    for keys, node in leaves(tree.root):
        if node.scalar is None or isinstance(node.scalar, bool):
            continue
        name = next((key for key in reversed(keys) if isinstance(key, str)), "")
        value = str(node.scalar)
        shown = judged[id(node)] if id(node) in judged else shown_value(name, value)
        if shown != value:
            edits.append(Edit(node.start, node.end, dump(shown)))
    return apply(tree.text, [*edits, *_hidden_keys(tree.root, tree)])


def _judge_entry(entry: ClientEntry, client: Client, shown: dict[int, str]) -> None:
    """What to show of a server's addresses and command, by node; its other values are judged by their keys."""
    for key in client.urls:
        node = entry.holder.member(key)
        if node is not None and isinstance(node.scalar, str):
            shown[id(node)] = shown_url(node.scalar)
    command, args = entry.holder.member(entry.command_key), entry.holder.member("args")
    if not entry.argv or command is None:
        return
    words = shown_args(entry.argv)
    items = args.items or [] if args is not None else []
    if entry.own:
        ours = [command, *items[: entry.own - 1]]
        shown.update({id(node): str(node.scalar) for node in ours})
        shown.update({id(node): word for node, word in zip(items[entry.own - 1 :], words, strict=True)})
    else:
        shown.update({id(node): word for node, word in zip([command, *items], words, strict=True)})


def _hidden_keys(node: Node, tree: Tree) -> list[Edit]:
    """Edits that hide keys which look like secrets themselves: some clients remember approved tokens as keys."""
    edits = []
    for key, member in (node.members or {}).items():
        if len(key) >= _TOKEN_CHARS_MIN and "/" not in key and tree.text.startswith(dump(key), member.leaf) and is_secret(key):
            edits.append(Edit(member.leaf, member.leaf + len(dump(key)), dump(HIDDEN)))
        edits += _hidden_keys(member.node, tree)
    for item in node.items or []:
        edits += _hidden_keys(item, tree)
    return edits


def _shown_comment(text: str) -> str:
    """A comment as it is, or one of as many lines that says nothing."""
    if is_harmless_comment(text):
        return text
    opening = text[:2] if text.startswith("/") else "#"
    closing = " */" if opening == "/*" else ""
    return f"{opening} {HIDDEN}{closing}" + "\n" * text.count("\n")


def shown_settings(text: str) -> str:
    """The settings file with everything hidden that could be a secret, as the address of a webhook is."""
    edits, at = [], 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        start, end = token.start_mark.index, token.end_mark.index
        if start >= at:
            edits += _comments(text, at, start)
            at = max(at, end)
    edits += _comments(text, at, len(text))
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    edits += _values(root, ()) if root is not None else []
    return apply(text, edits)


def _comments(text: str, start: int, end: int) -> list[Edit]:
    return [
        Edit(start + found.start(), start + found.end(), _shown_comment(found[0]))
        for found in re.finditer(r"#[^\r\n]*", text[start:end])
    ]


def _values(node: Any, keys: tuple[str, ...]) -> list[Edit]:
    if isinstance(node, yaml.MappingNode):
        return [edit for key, value in node.value for edit in _values(value, (*keys, str(key.value)))]
    if isinstance(node, yaml.SequenceNode):
        return [edit for item in node.value for edit in _values(item, keys)]
    start, end, name, value = node.start_mark.index, node.end_mark.index, keys[-1] if keys else "", node.value
    if start == end or (len(keys) == 2 and keys[0] == "servers" and name in _SERVER_KEYS and "@" not in value):
        return []
    shown = (value if is_reference(value) else HIDDEN) if name in ("webhook", "secrets") else shown_value(name, value)
    return [Edit(start, end, shown)] if shown != value else []


def diff(before: str, after: str, name: str) -> str:
    """A unified diff of two texts that may be shown."""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"{name}", f"{name} (as it will be)", lineterm="", n=_CONTEXT_LINES
    )
    return "\n".join(lines)
