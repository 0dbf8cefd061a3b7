"""Runs the conformance suite (npm package @modelcontextprotocol/conformance) and compares two ways to the same peer."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".tools" / "npm" / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
REVISIONS = ("2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
# Scenarios that give a peer less than two seconds by the wall clock, which a busy machine may not have.
TIMED = frozenset({"server-stateless", "server-sse-multiple-streams", "sse-retry"})
TRIES = 3
SERVER_WAIT_MS = 15_000  # for one scenario
CLIENT_WAIT_MS = 60_000  # the same, in which a client and a sidecar start
SUITE_WAIT_S = 240

type Said = tuple[str, str, str]  # a check's id and name, and its status
type Results = dict[str, list[Said]]  # by scenario


@dataclass(frozen=True, slots=True)
class Compared:
    """What the suite said directly and through the sidecar."""

    direct: Results
    through: Results

    def differences(self) -> list[str]:
        """The checks that are not the same, one line each."""
        lines = []
        for scenario in sorted({*self.direct, *self.through}):
            direct, through = self.direct.get(scenario, []), self.through.get(scenario, [])
            if direct != through:
                lines += [f"{scenario}: {said} only directly" for said in direct if said not in through]
                lines += [f"{scenario}: {said} only through the sidecar" for said in through if said not in direct]
                if sorted(direct) == sorted(through):
                    lines.append(f"{scenario}: the checks came in another order")
                elif set(direct) == set(through):
                    lines.append(f"{scenario}: {len(direct)} checks directly, {len(through)} through the sidecar")
        return lines


def failures(results: Results) -> list[str]:
    """The checks that a peer did not pass, one line each."""
    bad = {"FAILURE", "WARNING"}
    return [f"{scenario}: {said}" for scenario, all_said in results.items() for said in all_said if said[2] in bad]


def total(results: Results) -> tuple[int, int]:
    """How many checks passed, and how many there were, as the suite itself counts."""
    states = [said[2] for all_said in results.values() for said in all_said]
    return states.count("SUCCESS"), states.count("SUCCESS") + states.count("FAILURE")


def is_installed() -> bool:
    """Whether the suite can run here: scripts/test-tools brings it."""
    return PROGRAM.is_file() and shutil.which("node") is not None


def of_server(url: str, revision: str, scenario: str = "") -> Results:
    """What the suite says of the server at an address: in all scenarios of a revision, or in one."""
    chosen = ["--scenario", scenario] if scenario else ["--suite", "all"]
    return _run(["server", "--url", url, "--spec-version", revision, *chosen], SERVER_WAIT_MS, "server-")


def of_client(command: str, revision: str, scenario: str) -> Results:
    """What the suite says of a client in one scenario. The command gets the address of the suite's own server appended.

    Two things the suite does not check stand here as checks of their own: whether the client ended well and in time, and
    what it printed, which is what it received.
    """
    return _run(["client", "--command", command, "--spec-version", revision, "--scenario", scenario], CLIENT_WAIT_MS)


def compare(direct: Callable[[str], Results], through: Callable[[str], Results], scenario: str = "") -> Compared:
    """Run the suite both ways. A scenario counts as different only if it is so each of three times.

    Some checks allow half a second by the wall clock, and a busy machine misses that on either way; what a proxy does
    wrong it does wrong every time.
    """
    said = Compared(direct(scenario), through(scenario))
    for _ in range(TRIES - 1):
        names = {*said.direct, *said.through}
        bad = {line.partition(":")[0] for line in failures(said.direct) + failures(said.through)}
        for name in {name for name in names if said.direct.get(name) != said.through.get(name)} | (bad & TIMED):
            said.direct.update(direct(name))
            said.through.update(through(name))
    return said


def _run(arguments: list[str], wait_ms: int, prefix: str = "") -> Results:
    """Checks by scenario. Raises AssertionError with what the program printed if it left no results."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        command = ["node", str(PROGRAM), *arguments, "--timeout", str(wait_ms), "-o", folder]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SUITE_WAIT_S, check=False)
        results = {}
        for file in sorted(Path(folder).rglob("checks.json")):
            # The folder is named after the scenario and the time.
            name = re.sub(r"-\d{4}-\d\d-\d\dT[^/]*$", "", str(file.parent.relative_to(folder))).removeprefix(prefix)
            results[name] = [(check["id"], check["name"], check["status"]) for check in json.loads(file.read_bytes())]
            if (output := file.with_name("stdout.txt")).is_file():
                ended = "ended badly" if done.returncode else "ended well"
                results[name].append(("client", output.read_text(), ended))
    assert results, f"the suite left no results:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return results
