"""``sidecar init``: a settings file and a policy of one's own to start from; it never overwrites anything."""

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import Final

from sidecar.errors import SettingsError
from sidecar.settings import DEFAULT_FILE

_SETTINGS: Final = """\
# Settings of the MCP sidecar; `sidecar up` starts it. Paths count from where this file stands.

# The MCP servers behind it. Clients call `listen` in place of the server's own address; the path stays as it is:
# https://wiki.example.com/mcp becomes http://127.0.0.1:9002/mcp.
servers:
#  - {name: crm, listen: 127.0.0.1:9001, upstream: http://127.0.0.1:8001}
#  - {name: wiki, listen: 127.0.0.1:9002, upstream: https://wiki.example.com}

# Folders of policies, all of which judge every call. `starter` is the one that comes with the program.
policies: [starter, ./policies]

# What else is set most often, with its default:
# mode: enforce                   # monitor: every rule only records what it would have done
# data: ~/.local/state/sidecar    # the record, its password and the keys of this machine
# page: 127.0.0.1:8501            # calls and findings in the browser
# reader: 127.0.0.1:8124          # the record, as read-only ClickHouse over HTTP
# alerts:
#   - {name: security, webhook: "env:SECURITY_WEBHOOK", severity: high}
"""

_POLICY: Final = """\
version: 1
policy: example
owner: platform
description: >-
  An example to change. In mode monitor a rule only records what it would have done; 'mode: enforce' makes it do that.
  'sidecar check' says whether the file is valid, 'sidecar test' runs its tests. A saved change is in force at once.
mode: monitor

rules:
  - id: example.delete
    title: A tool that deletes
    severity: medium
    match: {tool: ["delete_*", "remove_*", "drop_*"], direction: request}
    action: block
    message: Agents do not delete here. Ask the user to do it.

tests:
  - name: deleting would be blocked
    call: {server: crm, tool: delete_customer, args: {customer_id: 7}}
    expect: {verdict: allow, would: [example.delete]}
  - name: reading passes
    call: {server: crm, tool: get_customer, args: {customer_id: 7}}
    expect: {verdict: allow, rules: []}
"""

_POLICY_FOLDER: Final = "policies"
_POLICY_FILE: Final = "example.yaml"


def run(args: argparse.Namespace) -> int:
    """Write ``sidecar.yaml`` and ``policies/example.yaml`` into ``args.folder``; returns 0.

    A policy folder that holds files already is kept as it is.

    Raises:
        SettingsError: there is a settings file already, or the folder cannot be written; then nothing was written.
    """
    folder = Path(args.folder)
    settings, policies = folder / DEFAULT_FILE, folder / _POLICY_FOLDER
    if os.path.lexists(settings):
        text = f"there is one already, and nothing was written; start it with {_up(settings)}"
        raise SettingsError(f"{settings}: error[exists]: {text}")
    try:
        policies.mkdir(parents=True, exist_ok=True)
        is_kept = any(policies.iterdir())
        if not is_kept:
            _create(policies / _POLICY_FILE, _POLICY)
        _create(settings, _SETTINGS)
    except OSError as error:
        where = error.filename or folder
        raise SettingsError(f"{where}: error[init]: cannot be written: {error.strerror}; name another folder") from None
    kept = f"kept   {policies}, which holds files already"
    written = f"wrote  {policies / _POLICY_FILE}, an example that only records (mode: monitor)"
    sys.stdout.write(
        f"wrote  {settings}\n{kept if is_kept else written}\n"
        f"next   list your servers in {DEFAULT_FILE} ('sidecar install' does it for those of your MCP clients)\n"
        f"       start it: {_up(settings)}\n"
    )
    return 0


def _create(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)


def _up(settings: Path) -> str:
    """The command that starts these settings from the present folder."""
    if settings == Path(DEFAULT_FILE):
        return "sidecar up"
    return f"sidecar up -c {shlex.quote(str(settings))}"
