"""``sidecar proxy``: the only process in the path of traffic, from its settings to an orderly end."""

import asyncio
import gc
import logging
import signal
from pathlib import Path
from typing import Final

from sidecar import __version__, limits, ports
from sidecar.addresses import host_port
from sidecar.detect import Engine
from sidecar.errors import Problem, SettingsError
from sidecar.events import Finding
from sidecar.exchange.pipeline import Pipeline
from sidecar.judging.message_judge import MessageJudge
from sidecar.logs import get_logger
from sidecar.policy.load import PolicySet, starter_is_off
from sidecar.proxy.detector_cache import ready_engine
from sidecar.proxy.inventory_store import InventoryStore
from sidecar.proxy.policy_reloader import PolicyReloader, load_tested
from sidecar.record.inventory_file import open_inventory
from sidecar.record.ledger import Ledger
from sidecar.record.outbox import Outbox
from sidecar.record.row_ids import new_id, timestamp
from sidecar.secret_values import registered_secrets
from sidecar.sessions.identity import Sessions
from sidecar.settings import Settings, node_key, open_data
from sidecar.transports.http_policy import HttpPolicy
from sidecar.transports.mitm.ca import open_authority
from sidecar.transports.mitm.dispatch import Dispatcher
from sidecar.transports.mitm.flows import MitmTransport
from sidecar.transports.mitm.forward import forward_spec
from sidecar.transports.mitm.listener import SidecarMaster
from sidecar.transports.mitm.passthrough import Passthrough
from sidecar.transports.mitm.tls import SidecarTls
from sidecar.transports.mitm.transparent import transparent_spec
from sidecar.transports.routing import OtherHosts
from sidecar.transports.stdio.judge_socket import JudgeSocket

log = get_logger("sidecar")

_GRACE_S: Final = 5.0
"""How long calls under way may go on after a stop was asked for."""


def run(settings: Settings, *, is_supervised: bool = False) -> int:
    """Run the proxy until SIGTERM or SIGINT; returns the exit code.

    A supervised one (``sidecar up``) leaves it to its supervisor to say where clients reach it.

    Raises:
        SettingsError: a port is taken, or a folder cannot be used.
        PolicyError: the policies are not valid; without valid ones nothing is passed on.
    """
    data = open_data(settings)
    engine = ready_engine(data, registered_secrets(settings))
    policies = load_tested(settings.policies_paths, engine)
    return asyncio.run(_Proxy(settings, data, engine, policies, is_supervised).run())


class _Proxy:
    """The program: what it is made of, and the order in which it starts and ends."""

    def __init__(self, settings: Settings, data: Path, engine: Engine, policies: PolicySet, is_supervised: bool) -> None:
        self._settings = settings
        self._is_supervised = is_supervised
        self._data = data
        self._outbox = Outbox(data / "outbox", f"proxy-{new_id()}")
        self._in_force = policies
        self._reloader = PolicyReloader(
            settings.policies_paths, engine, policies, self._policies_changed, self._policies_refused
        )
        key = node_key(data)
        judging = MessageJudge(self._reloader, engine, key, settings.mode)
        self._ledger = Ledger(
            self._outbox.put,
            judging.mask,
            node=settings.node,
            is_forwarding_when_full=settings.on_full == "forward",
        )
        inventory, self._inventory_fault = open_inventory(data)
        self._pipeline = Pipeline(judging, self._ledger, Sessions(key), inventory)
        self._inventory_store = InventoryStore(data, self._pipeline, self._ledger)
        self._http_policy = HttpPolicy(self._pipeline, settings.http_servers)
        self._other_hosts = OtherHosts(
            lambda metric, value, text: self._ledger.health(metric, value, text, self._pipeline.services.clock())
        )
        self._judge_socket = JudgeSocket(self._pipeline, {server.name: server for server in settings.servers}, settings.file)

    async def run(self) -> int:
        """Listen, serve, stop."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        _quiet_mitmproxy()
        try:
            await self._judge_socket.open()
        except SettingsError:
            self._outbox.close()
            raise
        transport = MitmTransport(self._http_policy)
        master = transport.master = self._listening(transport)
        loop.set_task_factory(asyncio.eager_task_factory)
        if failed := await master.start_listeners():
            self._judge_socket.stop_listening()
            self._judge_socket.close()
            self._outbox.close()
            raise SettingsError("\n".join(ports.message(self._settings, at, ports.reason(error)) for at, error in failed))
        self._record_policies(self._reloader.current)
        self._ledger.health("proxy_started", 1, __version__, self._pipeline.services.clock())
        watching = asyncio.ensure_future(self._reloader.watch())
        keeping_up = asyncio.ensure_future(self._keep_up())
        keeping = asyncio.ensure_future(self._inventory_store.run())
        if self._inventory_fault:
            self._inventory_store.tell(self._inventory_fault)
        for line in _listeners(self._settings, is_supervised=self._is_supervised):
            log.info(line)
        if starter_is_off(self._reloader.current):
            log.warning("the starter policies are off: 'policies:' names none of them; 'starter' in its list turns them on")
        for warning in self._reloader.current.warnings:
            log.warning("policy warning", problem=str(warning))
        log.info("ready", policy_version=self._reloader.current.version)
        # What start-up made lives as long as the process: keep the collector from walking it again and again.
        # Flows are cycles that hold bodies: their number may grow, because the transport collects by the bytes they hold.
        gc.collect()
        gc.freeze()
        gc.set_threshold(30_000, 10, 10)
        await stop.wait()
        log.info("stopping")
        watching.cancel()
        keeping_up.cancel()
        keeping.cancel()
        await self._drain(master)
        return 0

    def _listening(self, transport: MitmTransport) -> SidecarMaster:
        """The master with all listeners of the settings; those for many hosts put their own hooks before the transport's."""
        settings, hooks = self._settings, transport.hooks
        trusted = {server.target: str(path) for server in settings.http_servers if (path := settings.ca_path(server))}
        specs = [forward_spec(settings.forward)] if settings.forward else []
        specs += [transparent_spec(settings.transparent)] if settings.transparent else []
        if not specs:
            return SidecarMaster(settings.http_servers, hooks, self._http_policy, SidecarTls(None, trusted))
        own = [host_port(address) for address in (settings.forward, settings.transparent) if address]
        dispatcher = Dispatcher(self._http_policy.routing, self._other_hosts, own=own, passes_others=settings.passes_others)
        tls = SidecarTls(open_authority(self._data, settings.node).store(), trusted)
        return SidecarMaster(
            settings.http_servers, Passthrough(dispatcher, hooks).hooks, self._http_policy, tls, dispatcher, specs
        )

    async def _keep_up(self) -> None:
        """What listeners for many hosts need now and then: where the servers are, and the record of what went past."""
        while self._settings.forward or self._settings.transparent:
            await self._http_policy.routing.resolve()
            await asyncio.sleep(limits.OTHER_HOSTS_WRITE_S)
            self._other_hosts.write()

    async def _drain(self, master: SidecarMaster) -> None:
        """Take no new connections, let calls under way end, cut what is left, and close the record."""
        await master.stop_listeners()
        self._judge_socket.stop_listening()
        try:
            await self._let_calls_end(master)
        finally:
            self._pipeline.stop()
            self._other_hosts.write()
            await self._inventory_store.close()
            self._ledger.health("proxy_stopped", 1, __version__, self._pipeline.services.clock())
            self._outbox.close()
            self._judge_socket.close()

    async def _let_calls_end(self, master: SidecarMaster) -> None:
        deadline = self._pipeline.services.timer() + _GRACE_S
        while (
            left := self._http_policy.open_calls() + self._judge_socket.open_calls()
        ) and self._pipeline.services.timer() < deadline:
            await asyncio.sleep(0.02)
        if left:
            log.warning("calls that did not end are cut off", calls=left, waited_s=_GRACE_S)
        self._pipeline.services.is_stopping = True
        self._judge_socket.cut()
        master.cut_connections()
        deadline = self._pipeline.services.timer() + 1
        while not master.is_idle and self._pipeline.services.timer() < deadline:
            await asyncio.sleep(0.02)

    def _policies_changed(self, policies: PolicySet) -> None:
        before, self._in_force = self._in_force, policies
        self._pipeline.policies_changed(before, policies)
        self._record_policies(policies)

    def _policies_refused(self, problems: tuple[Problem, ...]) -> None:
        now = self._pipeline.services.clock()
        text = str(problems[0]) if problems else "unknown"
        self._ledger.health("policy_reload_failed", 1, text, now)
        title = f"The edited policies were refused; version {self._reloader.current.version} stays in force: {text}"
        self._ledger.own_finding(
            Finding(
                rule="sidecar.policy-reload",
                policy="",
                severity="high",
                mode="enforce",
                action="alert",
                kind="error",
                title=title,
            ),
            now,
        )

    def _record_policies(self, policies: PolicySet) -> None:
        now = self._pipeline.services.clock()
        base = {"ts": timestamp(now), "node": self._settings.node, "version": policies.version}
        self._ledger.rows(policies=[{**base, "path": name, "text": text} for name, text in policies.files])
        self._ledger.health("policy_loaded", 1, policies.version, now)


def _listeners(settings: Settings, *, is_supervised: bool) -> list[str]:
    """Where clients reach the proxy; without the lines that ``sidecar up`` says itself."""
    lines = [
        f"{server.name}: http://{server.listen} stands for {server.upstream}"
        for server in settings.servers
        if server.listen and not is_supervised
    ]
    names = ", ".join(f"{server.name} ({server.upstream})" for server in settings.http_servers)
    if settings.transparent:
        lines.append(f"transparent: {settings.transparent} takes redirected traffic and looks into that for {names}")
    if settings.forward and not is_supervised:
        lines.append(f"forward: http://{settings.forward} is a proxy that looks into traffic for {names}")
    if settings.forward:
        lines.append(f"forward: traffic for other hosts is {'passed on unseen' if settings.passes_others else 'refused'}")
    return lines


def _quiet_mitmproxy() -> None:
    """mitmproxy notes every connection at INFO, and every note costs a round trip through the loop."""
    for name in ("mitmproxy", "asyncio"):
        logging.getLogger(name).setLevel(logging.ERROR)
