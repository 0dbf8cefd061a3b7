"""Keeps the inventory of definitions on disk while the proxy runs, and takes up what people approve."""

import asyncio
from pathlib import Path

from sidecar import limits
from sidecar.events import Finding
from sidecar.exchange.pipeline import Pipeline
from sidecar.judging.definitions import row_of
from sidecar.logs import get_logger
from sidecar.record.inventory_file import approvals, approvals_stamp, kept_text, write_kept
from sidecar.record.ledger import Ledger

log = get_logger("sidecar")


class InventoryStore:
    """Writes the inventory of ``pipeline`` below ``data`` whenever it has changed, and reads approvals there."""

    def __init__(self, data: Path, pipeline: Pipeline, ledger: Ledger) -> None:
        self._data = data
        self._pipeline = pipeline
        self._ledger = ledger
        self._inventory = pipeline.services.definitions.inventory
        self._writing: asyncio.Future[None] | None = None
        self._seen_approvals: tuple[int, int] | None = None
        self._is_failing = False
        self._was_full = False

    async def run(self) -> None:
        """Keep up, until cancelled."""
        while True:
            self.take_approvals()
            if text := self._to_write():
                # Forcing a file to disk may take long, and traffic does not wait for it.
                self._writing = asyncio.ensure_future(asyncio.to_thread(self._write, text))
                await asyncio.shield(self._writing)
            await asyncio.sleep(limits.DEFINITIONS_SAVE_S)

    async def close(self) -> None:
        """Write what is not written yet, after what is being written."""
        if self._writing is not None:
            await self._writing
        self.save()

    def save(self) -> None:
        """Write at once what is not written yet."""
        if text := self._to_write():
            self._write(text)

    def take_approvals(self) -> None:
        """Take up the approvals that were appended since the last look, and record them."""
        if (stamp := approvals_stamp(self._data)) == self._seen_approvals:
            return
        self._seen_approvals = stamp
        inventory, news = self._inventory, []
        for number, approval in approvals(self._data, inventory.approvals_read):
            inventory.approvals_read, inventory.is_dirty = number, True
            if approval is None:
                self.tell(f"line {number} of the approved definitions is no approval and was passed over")
                continue
            key = (approval.server, approval.kind, approval.name)
            new = inventory.approve(key, approval.digest, approval.by, approval.at)
            if new is not None:
                news.append(new)
                log.info("definition approved", definition=ascii(approval.name), server=approval.server, by=approval.by)
        if news:
            self._ledger.definitions(map(row_of, news))
            for server, kind in sorted({(new.server, new.kind) for new in news}):
                self._pipeline.definition_approved(server, kind)

    def tell(self, fault: str) -> None:
        """Something is wrong with what is kept: a line in the log, and a finding that is alerted."""
        log.error(fault)
        finding = Finding("sidecar.definitions", "", "high", "enforce", "alert", "error", title=fault[:500])
        self._pipeline.services.note(finding)

    def _to_write(self) -> bytes:
        inventory = self._inventory
        if inventory.is_full and not self._was_full:
            self._was_full = True
            self.tell(f"a server lists more than {limits.DEFINITIONS_MAX} tools; of the others no definition is remembered")
        if not inventory.is_dirty:
            return b""
        inventory.is_dirty = False
        return kept_text(inventory)

    def _write(self, text: bytes) -> None:
        try:
            write_kept(self._data, text)
        except OSError as error:
            self._inventory.is_dirty = True
            if not self._is_failing:
                log.error("the definitions of tools cannot be kept", error=error.strerror)
            self._is_failing = True
        else:
            self._is_failing = False
