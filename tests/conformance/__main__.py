"""Runs the whole conformance suite, directly and through the sidecar, and prints the figures of docs/conformance.md.

``python -m tests.conformance [server] [reverse] [forward]``: which parts; all of them if none is named.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.conformance import peers
from tests.conformance.suite import PROGRAM, REVISIONS, Compared, Results, failures, total

PARTS = ("server", "reverse", "forward")


def scenarios(revision: str) -> list[str]:
    """The scenarios for clients of a revision, as the suite lists them."""
    command = ["node", str(PROGRAM), "list", "--spec-version", revision]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    part = listed.partition("Client scenarios")[2].partition("\n\n")[0]
    return [line.split()[1] for line in part.splitlines() if line.startswith("  - ")]


def said(results: Results) -> str:
    """Checks passed, and scenarios without a failure."""
    bad = {line.partition(": (")[0] for line in failures(results)}
    passed, checks = total(results)
    return f"{passed}/{checks} ({len(results) - len(bad)}/{len(results)})"


def servers(folder: Path) -> Iterator[tuple[str, str, Compared]]:
    """Every revision against both servers."""
    for name, make in (
        ("own server (Python)", peers.fixture_server),
        ("server-everything (TypeScript)", peers.everything_server),
    ):
        home = folder / make.__name__
        home.mkdir()
        with make(home) as port, peers.sidecar_before(port, home) as sidecar:
            for revision in REVISIONS:
                yield name, revision, peers.compare_server(port, sidecar, revision)


def clients(mode: str) -> Iterator[tuple[str, str, Compared]]:
    """Every revision in one mode; OAuth needs the server's own address, which only forward mode keeps."""
    for revision in REVISIONS:
        both = Compared({}, {})
        for scenario in scenarios(revision):
            if mode == "forward" or not scenario.startswith("auth/"):
                one = peers.compare_client(mode, revision, scenario)
                both.direct.update(one.direct)
                both.through.update(one.through)
        if both.direct:
            yield f"own client (Python), {mode}", revision, both


def main(parts: list[str]) -> int:
    """Print one line for each comparison, and what differs; 1 if anything does that is not meant to."""
    differing = 0
    print(f"{'peer':32} {'revision':10}  {'directly':>16}  {'through sidecar':>16}  different")
    with tempfile.TemporaryDirectory(prefix="conformance-all-") as folder:
        for part in parts or PARTS:
            for peer, revision, compared in servers(Path(folder)) if part == "server" else clients(part):
                lines = compared.differences()
                differing += len(set(lines) - set(peers.GUARDED))
                figures = f"{said(compared.direct):>16}  {said(compared.through):>16}"
                print(f"{peer:32} {revision:10}  {figures}  {len(lines) or 'none'}", flush=True)
                for line in lines:
                    print(f"    {line}")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
