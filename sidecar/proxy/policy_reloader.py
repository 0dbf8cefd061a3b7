"""The policies in force, changed while calls flow: a valid edit is in force at once, a broken one changes nothing."""

import asyncio
import hashlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

import watchfiles

from sidecar.act.redact import redact_value
from sidecar.detect import Engine
from sidecar.errors import PolicyError, Problem
from sidecar.logs import get_logger
from sidecar.policy import cases
from sidecar.policy.load import Folders, PolicySet, as_paths, load_policies

log = get_logger("sidecar.policy")

_POLL_S: Final = 0.5
"""A mounted folder may change by a swapped link that no watcher reports, so its content is also compared now and then."""

_SETTLE_S: Final = 0.05
"""An editor writes a file in steps; a folder that still changes is not judged half-written."""


def load_tested(folders: Folders, engine: Engine, servers: Collection[str] = ()) -> PolicySet:
    """The policies of one or more folders, checked, and with their own tests passed.

    Raises:
        PolicyError: a file is wrong, or a test in it fails.
    """
    policies = load_policies(folders, engine.kinds, servers)
    failed = [result for result in cases.run(policies, engine, redact_value) if not result.has_passed]
    if failed:
        raise PolicyError(tuple(map(_problem_of, failed)))
    return policies


def _problem_of(result: cases.Result) -> Problem:
    text = f"the test {result.name!r} of policy {result.policy} fails: {'; '.join(result.differences)}"
    return Problem(result.file, result.line, result.column, "failed-test", text)


class PolicyReloader:
    """Holds the policy set that judges. ``changed`` and ``refused`` are told of every reload, in the event loop."""

    def __init__(
        self,
        folders: Folders,
        engine: Engine,
        current: PolicySet,
        changed: Callable[[PolicySet], None],
        refused: Callable[[tuple[Problem, ...]], None],
    ) -> None:
        self.current = current
        self._folders = as_paths(folders)
        self._engine = engine
        self._changed = changed
        self._refused = refused
        self._seen = _content_hash(self._folders, current.lists)
        self._is_reloading = False

    async def watch(self) -> None:
        """Reload on every change of a folder, until cancelled."""
        poll = asyncio.ensure_future(self._poll())
        try:
            async for _ in watchfiles.awatch(
                *self._folders, debounce=50, step=20, recursive=True, rust_timeout=1000, yield_on_timeout=False
            ):
                await self._reload()
        except (FileNotFoundError, RuntimeError):
            # A folder itself went away or cannot be watched; comparing its content still works.
            await poll
        finally:
            poll.cancel()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(_POLL_S)
            await self._reload()

    async def _reload(self) -> None:
        seen = await asyncio.to_thread(_content_hash, self._folders, self.current.lists)
        if seen == self._seen or self._is_reloading:
            return
        self._is_reloading = True
        try:
            await self._settled_reload(seen)
        finally:
            self._is_reloading = False

    async def _settled_reload(self, seen: str) -> None:
        while True:
            await asyncio.sleep(_SETTLE_S)
            again = await asyncio.to_thread(_content_hash, self._folders, self.current.lists)
            if again == seen:
                break
            seen = again
        self._seen = seen
        try:
            policies = await asyncio.to_thread(load_tested, self._folders, self._engine)
        except PolicyError as error:
            log.error(
                "edited policies refused; the last good version stays in force",
                policy_version=self.current.version,
                problems=[str(problem) for problem in error.problems],
            )
            self._refused(error.problems)
            return
        if policies.version != self.current.version:
            self.current = policies
            log.info("policies in force", policy_version=policies.version)
            self._changed(policies)


def _content_hash(folders: Collection[Path], lists: Collection[Path]) -> str:
    """Changes exactly when a policy file's name or text does, or one of the ``lists`` was written anew.

    So do lists (``*.hmac``) that come into the folder: a policy may have been refused because its list was missing.
    """
    digest = hashlib.sha256()
    try:
        files = sorted(file for folder in folders for pattern in ("*.yaml", "*.yml") for file in folder.rglob(pattern))
    except OSError:
        return ""
    for file in files:
        digest.update(str(file).encode())
        try:
            digest.update(file.read_bytes())
        except OSError:
            digest.update(b"unreadable")
    for file in sorted({*lists, *(file for folder in folders for file in folder.rglob("*.hmac"))}):
        try:
            found = file.stat()
            digest.update(repr((found.st_ino, found.st_size, found.st_mtime_ns)).encode())
        except OSError:
            digest.update(b"no list")
    return digest.hexdigest()
