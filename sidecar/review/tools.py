"""``sidecar tools``: lists what servers offer, shows how definitions changed, and approves them."""

import argparse
import getpass
import json
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sidecar.errors import SettingsError
from sidecar.inventory import Inventory, InventoryEntry, Key
from sidecar.record.inventory_file import Approval, append_approval, approvals, read_inventory
from sidecar.review.visible import pretty, visible, visible_lines
from sidecar.settings import Settings

_DIGEST_CHARS = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``sidecar tools``."""
    parser.add_argument(
        "action",
        nargs="?",
        choices=("list", "show", "approve"),
        default="list",
        metavar="list|show|approve",
        help="default: list",
    )
    parser.add_argument("server", nargs="?", default="", metavar="SERVER", help="the server's name")
    parser.add_argument("name", nargs="?", default="", metavar="TOOL", help="the tool's or prompt's name")
    parser.add_argument("--kind", choices=("tool", "prompt"), default="tool", help="what TOOL names (default: tool)")
    parser.add_argument(
        "--digest",
        default="",
        metavar="DIGEST",
        help="approve: only if its definition still has this digest (the first characters are enough)",
    )
    parser.add_argument(
        "--waiting", action="store_true", help="list: only what is new, changed or hides text; exit code 1 if there is any"
    )
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="a table for people, or one JSON object per line (default: text)",
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """List the inventory, show one definition and how it changed, or approve it; returns the exit code.

    Raises:
        SettingsError: the inventory cannot be read, or an approval cannot be written.
    """
    inventory = _inventory(settings)
    if args.action == "list":
        rows = [each for each in inventory if not args.server or each[0][0] == args.server]
        waiting = [each for each in rows if each[1].state != "accepted"]
        _print_list(waiting if args.waiting else rows, args.format)
        return 1 if args.waiting and waiting else 0
    key = (args.server, args.kind, args.name)
    known = inventory.get(key)
    if known is None:
        where = f"by a server {args.server!r}; 'sidecar tools' lists them all"
        sys.stderr.write(f"sidecar tools: no {args.kind} {args.name!r} was listed {where}\n")
        return 2
    if args.action == "show":
        _print_one(key, known, args.format)
        return 0
    return _approve(settings, key, known, args.digest)


def _inventory(settings: Settings) -> Inventory:
    """The inventory as the proxy last wrote it, with the approvals it has not applied yet."""
    try:
        inventory = read_inventory(settings.data_path)
    except ValueError as error:
        raise SettingsError(f"{settings.file}: error[data]: {error}; the proxy moves it aside when it next starts") from None
    for _, approval in approvals(settings.data_path, inventory.approvals_read):
        if approval is not None:
            inventory.approve((approval.server, approval.kind, approval.name), approval.digest, approval.by, approval.at)
    return inventory


def _approve(settings: Settings, key: Key, known: InventoryEntry, head: str) -> int:
    found = [each for each in known.variants if each.startswith(head)] if head else [known.current]
    if len(found) != 1:
        what = "more than one of its definitions begins" if found else "none of its definitions begins"
        sys.stderr.write(f"sidecar tools: {what} with {head!r}; look at it with sidecar tools show\n")
        return 2
    (digest,) = found
    if digest in known.accepted:
        sys.stdout.write("it is already accepted\n")
        return 0
    try:
        append_approval(settings.data_path, Approval(*key, digest, getpass.getuser(), time.time()))
    except OSError as error:
        raise SettingsError(f"{settings.file}: error[data]: the approval cannot be written: {error.strerror}") from None
    sys.stdout.write(f"approved {key[1]} {visible(key[2])} of {key[0]} as {digest[:_DIGEST_CHARS]}\n")
    return 0


def _fields(key: Key, known: InventoryEntry) -> dict[str, Any]:
    variant = known.variants.get(known.current)
    return {
        "server": key[0],
        "kind": key[1],
        "tool": key[2],
        "state": known.state,
        "hidden": variant.hidden if variant else "",
        "digest": known.current,
        "previous_digest": known.previous,
        "accepted": known.accepted,
        "also_seen": [each for each in known.variants if each != known.current and each not in known.accepted],
        "first_seen": _moment(known.first_seen),
        "changed_at": _moment(known.changed_at) if known.changed_at else "",
        "last_seen": _moment(known.last_seen),
    }


def _print_list(rows: Iterable[tuple[Key, InventoryEntry]], form: str) -> None:
    if form == "json":
        sys.stdout.writelines(json.dumps(_fields(key, known)) + "\n" for key, known in rows)
        return
    lines = [("SERVER", "KIND", "TOOL", "STATE", "DIGEST", "FIRST SEEN", "CHANGED")]
    for key, known in rows:
        said = _fields(key, known)
        state = said["state"] + (", hidden text" if said["hidden"] else "") + (", others seen" if said["also_seen"] else "")
        name = visible(key[2])
        name = name if len(name) <= 60 else name[:59] + "…"
        lines.append((key[0], key[1], name, state, known.current[:_DIGEST_CHARS], said["first_seen"], said["changed_at"]))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        sys.stdout.write("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() + "\n")


def _print_one(key: Key, known: InventoryEntry, form: str) -> None:
    said = _fields(key, known)
    kept = known.variants[known.current].kept if known.current in known.variants else ""
    if form == "json":
        definition = json.loads(kept) if kept else None
        sys.stdout.write(json.dumps({**said, "diff": known.changes(), "definition": definition}) + "\n")
        return
    width = max(map(len, said))
    for name, value in said.items():
        text = ", ".join(value) if isinstance(value, list) else str(value)
        sys.stdout.write(f"{name.ljust(width)}  {visible(text)}\n")
    if changes := known.changes():
        sys.stdout.write(
            "\nchanges since the accepted definition:\n" + "".join(f"  {visible_lines(each)}\n" for each in changes)
        )
    if kept:
        sys.stdout.write(f"\n{pretty(json.dumps(json.loads(kept), ensure_ascii=False))[0]}\n")
    else:
        sys.stdout.write("\nthe definition itself is not stored\n")


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
