"""What of a configuration may be shown: names, commands and addresses, never what could be a secret.

Shown is only what is known to be harmless; every other value, and every comment, is ``***``. Arguments are judged word by
word: after a flag that takes a secret, in a login, a query or an assignment, or when they look random or a detector of
``sidecar.detect`` knows them, they are hidden.
"""

import difflib
import re
from collections.abc import Sequence
from typing import Any, Final

import yaml

from sidecar.detect import Engine, walk
from sidecar.install.clients import Client, ConfigLocation
from sidecar.install.entries import ClientEntry, entries
from sidecar.install.jsonc import dump
from sidecar.install.tree import Edit, Node, Tree, apply, leaves

HIDDEN: Final = "***"
_FLAG: Final = re.compile(
    r"key|token|secret|passw|passphrase|pwd|pass$|auth|cred|bearer|header|cookie|session|sign|private|dsn|conn|pat$|jwt|env$",
    re.IGNORECASE,
)
_SHORT: Final = ("-H", "-e", "-k", "-p", "-t", "-u", "-a", "-P")
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(?:([^/?#]*)@)?([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?\Z", re.DOTALL)
_SCHEME_WORDS: Final = re.compile(r"\b(bearer|basic|authorization|x-[a-z-]+:|set-cookie|cookie)\b", re.IGNORECASE)
_TOKEN_CHARS_MIN: Final = 16
_WORD: Final = re.compile(r"[A-Za-z0-9_+=-]{16,}")
_ENTRY_KEYS: Final = ("type", "transport", "source", "command")
_SERVER_KEYS: Final = ("name", "listen", "upstream", "payloads")
_CONTEXT_LINES: Final = 2

_engine: list[Engine] = []


def is_secret(text: str) -> bool:
    """Whether a text could be, or hold, a secret by its looks alone."""
    for word in _WORD.findall(text):
        digits = any(each.isdigit() for each in word)
        mixed = word != word.lower() and word != word.upper() and not any(each in "-_" for each in word)
        if (digits and any(each.isalpha() for each in word)) or mixed or word.isdigit() or (word.isalpha() and len(word) >= 32):
            return True
    if not _engine:
        _engine.append(Engine())
    return bool(_engine[0].scan(walk({"text": text})).spans)


def shown_url(url: str) -> str:
    """An address without login, query values and random-looking parts."""
    match = _URL.match(url)
    if match is None:
        return HIDDEN
    scheme, login, host, path, query, fragment = match.groups()
    path = "/".join(HIDDEN if is_secret(part) else part for part in path.split("/"))
    shown = f"{scheme}://{HIDDEN + '@' if login is not None else ''}{host}{path}"
    return shown + (f"?{HIDDEN}" if query else "") + (f"#{HIDDEN}" if fragment else "")


def shown_args(words: Sequence[str]) -> list[str]:
    """A command's words as they may be shown."""
    shown: list[str] = []
    hides_next = False
    for word in words:
        shown.append(HIDDEN if hides_next else _shown_word(word))
        flag = word.partition("=")[0]
        hides_next = "=" not in word and ((word.startswith("-") and bool(_FLAG.search(flag))) or word in _SHORT)
    return shown


def _shown_word(word: str) -> str:
    if "\n" in word or _SCHEME_WORDS.search(word):
        return HIDDEN
    name, equals, value = word.partition("=")
    if "://" in word and not (equals and "://" not in name):
        return shown_url(word)
    if equals and value:
        if not name.startswith("-"):
            return f"{HIDDEN if is_secret(name) else name}={HIDDEN}"
        is_short = not name.startswith("--")
        return f"{name}={HIDDEN if is_short or _FLAG.search(name) else _shown_word(value)}"
    if re.match(r"-[HekptuaP].", word) or re.match(r"[\w-]+:\s", word):
        return word[:2] + HIDDEN
    return HIDDEN if is_secret(word) else word


def shown_file(tree: Tree, client: Client, place: ConfigLocation) -> str:
    """A client's file with everything hidden that need not be seen to judge our change."""
    open_nodes: dict[int, str] = {}
    for entry in entries(tree, client, place.servers):
        _show_entry(entry, client, open_nodes)
    edits = [Edit(start, end, _hidden_comment(tree.text[start:end])) for start, end in tree.comments]
    for _, node in leaves(tree.root):
        if id(node) in open_nodes:
            edits.append(Edit(node.start, node.end, dump(open_nodes[id(node)])))
        elif node.scalar is not None and not isinstance(node.scalar, bool):
            edits.append(Edit(node.start, node.end, dump(HIDDEN)))
    return apply(tree.text, [*edits, *_hidden_keys(tree.root, tree)])


def _show_entry(entry: ClientEntry, client: Client, shown: dict[int, str]) -> None:
    for key in _ENTRY_KEYS:
        node = entry.holder.member(key)
        if node is not None and isinstance(node.scalar, str) and not is_secret(node.scalar):
            shown[id(node)] = node.scalar
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


def _hidden_comment(text: str) -> str:
    """A comment of as many lines that says nothing."""
    opening = text[:2] if text.startswith("/") else "#"
    closing = " */" if opening == "/*" else ""
    return f"{opening} {HIDDEN}{closing}" + "\n" * text.count("\n")


def shown_settings(text: str) -> str:
    """The settings file with names and addresses of servers, and ``***`` for every other value and comment."""
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
        Edit(start + found.start(), start + found.end(), f"# {HIDDEN}") for found in re.finditer(r"#[^\r\n]*", text[start:end])
    ]


def _values(node: Any, keys: tuple[str, ...]) -> list[Edit]:
    if isinstance(node, yaml.MappingNode):
        return [edit for key, value in node.value for edit in _values(value, (*keys, str(key.value)))]
    if isinstance(node, yaml.SequenceNode):
        return [edit for item in node.value for edit in _values(item, keys)]
    start, end = node.start_mark.index, node.end_mark.index
    if start == end or (len(keys) == 2 and keys[0] == "servers" and keys[1] in _SERVER_KEYS and "@" not in node.value):
        return []
    return [Edit(start, end, HIDDEN)]


def diff(before: str, after: str, name: str) -> str:
    """A unified diff of two texts that may be shown."""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"{name}", f"{name} (as it will be)", lineterm="", n=_CONTEXT_LINES
    )
    return "\n".join(lines)
