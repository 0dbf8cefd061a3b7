"""``sidecar.yaml`` and the environment, read once into one frozen ``Settings``. The only reader of either."""

import os
import secrets
import socket
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sidecar.addresses import (
    STARTER,
    Address,
    Folders,
    Name,
    Reference,
    StoreAddress,
    Upstream,
    Webhook,
    host_port,
    is_loopback,
    parse_store,
)
from sidecar.document import Document, known_fields, model_problems
from sidecar.errors import Problem, SettingsError
from sidecar.wrap import socket_path

DEFAULT_FILE: Final = socket_path.DEFAULT_FILE
OVERRIDES: Final = ("store", "policies", "data", "mode", "reader", "page", "page_url", "node", "log_format")
"""Settings that ``SIDECAR_…`` in the environment overrides."""


class _SettingsModel(BaseModel):
    """What the models share. scripts/settings_docs.py makes docs/settings.md of their fields: the docstring below a field is
    its meaning there, and its example is YAML as it may stand in the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Server(_SettingsModel):
    """One MCP server and the listener that stands for it."""

    name: Name = Field(examples=["crm"])
    """What policies, the record and the page call it: letters, digits, ``-``, ``_`` and ``.``, at most 64."""
    listen: Address = Field(default="", examples=["127.0.0.1:9001"])
    """A listener that stands for it; not needed where ``forward`` or ``transparent`` brings its traffic."""
    upstream: Upstream = Field(default="", examples=["https://wiki.example.com"])
    """Its own address, without a path: paths are passed on as they come. Left out, with ``listen``, for a server over stdio,
    which ``sidecar wrap --server`` names."""
    ca: str = Field(default="", examples=["private-ca.pem"])
    """A PEM file with the only authorities its certificate may come from, instead of the public ones."""
    hosts: tuple[str, ...] = Field(default=(), strict=False, examples=["[crm.internal, crm.internal:9001]"])
    """Further names clients may call this listener by (the ``Host`` header), beside its own address."""
    origins: tuple[str, ...] = Field(default=(), strict=False, examples=["[https://app.example.com]"])
    """Web origins whose pages may call it (the ``Origin`` header), beside loopback ones; others are refused with 403."""
    keep_host: bool = Field(default=False, examples=["true"])
    """Send the client's ``Host`` header on instead of the server's own, for a server that builds links from it."""
    payloads: Literal["redacted", "metadata"] = Field(default="redacted", examples=["metadata"])
    """What the record keeps of its messages: their text with every detected value replaced, or nothing but the facts of the
    call (who, what, when, size, verdict)."""
    parsing: Literal["refuse", "canonical"] = Field(default="refuse", examples=["canonical"])
    """What becomes of a request that two JSON parsers may read differently (a key twice, UTF-16, half a character, an encoded
    body): refused, or passed on as the one plain JSON text that was judged. Either way the record names the anomaly."""
    answer_within: float = Field(default=0, ge=0, strict=False, json_schema_extra={"unit": "seconds"}, examples=["30"])
    """How long its answer to a call may take to begin; then the client gets an error. 0 waits as long as the client does."""

    @model_validator(mode="after")
    def _whole_or_none(self) -> "Server":
        if self.listen and not self.upstream:
            text = f"server {self.name} has 'listen' but no 'upstream'; add for example 'upstream: http://127.0.0.1:8001'"
            raise ValueError(f"{text}, or take 'listen' out too if the server speaks over stdio")
        return self

    @property
    def is_stdio(self) -> bool:
        """Whether it is started by its client through ``sidecar wrap``, so that there is no address of it."""
        return not self.upstream

    @property
    def host(self) -> str:
        """The address to listen on; ``[::1]:80`` gives ``::1``."""
        return host_port(self.listen)[0]

    @property
    def port(self) -> int:
        """The port to listen on."""
        return host_port(self.listen)[1]

    @property
    def target(self) -> tuple[str, int]:
        """Host (lower case) and port of ``upstream``, by which traffic for it is known."""
        parts = urlsplit(self.upstream)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def is_tls(self) -> bool:
        """Whether ``upstream`` speaks TLS."""
        return self.upstream.startswith("https:")


class Alert(_SettingsModel):
    """One place to tell of findings."""

    name: Name = Field(default="webhook", examples=["security"])
    """What the log and the page call it."""
    webhook: Webhook = Field(examples=["env:SECURITY_WEBHOOK"])
    """Where alerts are posted as JSON. The address may hold a secret, so it can be ``env:NAME`` or ``file:PATH``."""
    severity: Literal["info", "low", "medium", "high", "critical"] = Field(default="info", examples=["high"])
    """The least severity told here."""


class Settings(_SettingsModel):
    """Everything that can be set, with a default that is right for most."""

    servers: tuple[Server, ...] = Field(
        default=(), strict=False, examples=["[{name: crm, listen: 127.0.0.1:9001, upstream: http://127.0.0.1:8001}]"]
    )
    """The MCP servers. None is needed where all are started through ``sidecar wrap``, which names them itself."""
    forward: Address = Field(default="", examples=["127.0.0.1:9080"])
    """Where clients that set a proxy reach the sidecar; traffic for a server's ``upstream`` is judged, other is passed on."""
    transparent: Address = Field(default="", examples=["127.0.0.1:9443"])
    """Where traffic arrives that iptables redirects (Linux); the same is judged as by ``forward``."""
    other_hosts: Literal["", "pass", "refuse"] = Field(default="", examples=["refuse"])
    """What ``forward`` does with traffic for hosts that are no server's; by default it passes where it listens on loopback
    and refuses elsewhere, so that nobody uses it as an open proxy."""
    store: str = Field(default="chdb", examples=["clickhouse://sidecar@db.example.com:8443/sidecar?secure=true"])
    """Where the record is kept: ``chdb``, embedded below ``data``, or a ClickHouse server over HTTP. Its password comes from
    ``SIDECAR_STORE_PASSWORD``, or the file that ``SIDECAR_STORE_PASSWORD_FILE`` names."""
    policies: Folders = Field(default=("policies",), examples=["[starter, ./policies]"])
    """A folder of policy files, or a list of folders that judge together; ``starter`` is the folder that comes with the
    program. Where none is named and there is no ``policies``, the starter policies judge."""
    data: str = Field(default="~/.local/state/sidecar", examples=["/var/lib/sidecar"])
    """The folder of the outbox, the embedded store, keys and certificates; created when missing, for its owner only."""
    mode: Literal["monitor", "enforce"] = Field(default="enforce", examples=["monitor"])
    """``monitor`` holds every rule to saying what it would have done."""
    alerts: tuple[Alert, ...] = Field(
        default=(), strict=False, examples=['[{name: security, webhook: "env:SECURITY_WEBHOOK", severity: high}]']
    )
    """Who is told of findings, and of which."""
    reader: Address = Field(default="127.0.0.1:8124", examples=["127.0.0.1:18124"])
    """Where the record can be read, as read-only ClickHouse over HTTP (embedded store only)."""
    page: Address = Field(default="127.0.0.1:8501", examples=["127.0.0.1:18501"])
    """Where the review page listens."""
    page_url: str = Field(default="", examples=["https://sidecar.example.com"])
    """How people reach the page, for links in alerts, and the one other address it answers to; by default ``http://`` and
    ``page``."""
    secrets: tuple[Reference, ...] = Field(default=(), strict=False, examples=["[env:CRM_TOKEN, file:/run/secrets/db]"])
    """``env:NAME`` or ``file:PATH``: values to find wherever they turn up, as ``secrets.registered``; read at the start."""
    on_full: Literal["block", "forward"] = Field(default="block", examples=["forward"])
    """What becomes of a call that cannot be recorded (the disk or the outbox is full): refused, or passed on and counted."""
    node: Name = Field(default_factory=lambda: socket.gethostname()[:64] or "node", examples=["gateway-1"])
    """What the record calls this machine, where several write into one store; by default the host's name."""
    log_format: Literal["text", "json"] = Field(default="text", examples=["json"])
    """How the programs write their log to stderr: an event with ``key=value`` pairs on each line, or a JSON object."""
    keep_days: int = Field(default=90, ge=1, le=3650, json_schema_extra={"unit": "days"}, examples=["30"])
    """How long calls, findings and alerts stay in the record; older ones are deleted."""

    file: str = Field(default="", exclude=True)

    @field_validator("servers", "alerts", "secrets", mode="before")
    @classmethod
    def _none_yet(cls, value: Any) -> Any:
        """A key whose list is all comments has no value: nothing is listed yet."""
        return () if value is None else value

    @model_validator(mode="after")
    def _no_clash(self) -> "Settings":
        seen: dict[str, str] = {}
        taken = [(server.listen, f"server {server.name}") for server in self.servers]
        taken += [(self.forward, "forward"), (self.transparent, "transparent"), (self.reader, "reader"), (self.page, "page")]
        for address, owner in taken:
            if not address:
                continue
            if address in seen:
                raise ValueError(f"{seen[address]} and {owner} both want {address}; give one of them another port")
            seen[address] = owner
        names = [server.name for server in self.servers]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two servers are called {sorted(twice)[0]!r}; every server needs a name of its own")
        parse_store(self.store)
        return self

    @model_validator(mode="after")
    def _reachable(self) -> "Settings":
        """Every server has a way in, and no two claim the same traffic."""
        if self.transparent and sys.platform != "linux":
            raise ValueError("'transparent' needs Linux, which tells where redirected traffic was going; use 'forward'")
        if not self.forward and not self.transparent:
            if mute := [server.name for server in self.http_servers if not server.listen]:
                example = "add 'listen: 127.0.0.1:9001' to it, or 'forward: 127.0.0.1:9080' at the top"
                raise ValueError(f"nothing brings traffic to server {mute[0]}; {example}")
            return self
        owners: dict[tuple[str, int], str] = {}
        for server in self.http_servers:
            if (first := owners.setdefault(server.target, server.name)) != server.name:
                where = f"{server.target[0]}:{server.target[1]}"
                text = f"servers {first} and {server.name} both stand for {where}, so its traffic cannot be told apart"
                raise ValueError(f"{text}; name it once, or leave 'forward' and 'transparent' out")
        return self

    @property
    def passes_others(self) -> bool:
        """Whether the forward listener passes traffic on for hosts that are no server's."""
        return self.other_hosts == "pass" or (not self.other_hosts and is_loopback(host_port(self.forward)[0]))

    @property
    def http_servers(self) -> tuple[Server, ...]:
        """The servers that have an address; the others speak over stdio."""
        return tuple(server for server in self.servers if not server.is_stdio)

    @property
    def store_address(self) -> StoreAddress:
        """``store`` taken apart."""
        return parse_store(self.store)

    @property
    def policies_paths(self) -> tuple[Path, ...]:
        """The policy folders, relative to the file that names them; the starter policies when none is named or there."""
        paths = tuple(dict.fromkeys(shipped("policies") if name == STARTER else self._path(name) for name in self.policies))
        is_chosen = "policies" in self.model_fields_set
        return paths if is_chosen or paths[0].exists() else (shipped("policies"),)

    @property
    def data_path(self) -> Path:
        """The folder of outbox, embedded store, keys and sockets."""
        return self._path(self.data)

    @property
    def link_base(self) -> str:
        """The page's address as it stands in alerts."""
        return self.page_url.rstrip("/") or f"http://{self.page}"

    def ca_path(self, server: Server) -> Path | None:
        """The file of ``server.ca``, if it has one; relative to the settings like every path."""
        return self._path(server.ca) if server.ca else None

    def _path(self, text: str) -> Path:
        return (Path(self.file).parent / Path(text).expanduser()).resolve()


def load(file: str | os.PathLike[str], environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings file and apply ``SIDECAR_…`` variables over it.

    Raises:
        SettingsError: the file cannot be read, or something in it or in a variable is wrong; every mistake is named.
    """
    name = str(file)
    try:
        text = Path(file).read_text("utf-8")
    except FileNotFoundError:
        text = f"{name}: error[no-file]: there is no such file; 'sidecar init' writes one, or name another with -c FILE"
        raise SettingsError(text) from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(
            f"{name}: error[unreadable]: cannot be read: {why}; fix that or name another with -c FILE"
        ) from None
    document = Document(name, text)
    if document.problems:
        raise SettingsError(problems=tuple(document.problems))
    value = document.value
    if not isinstance(value, dict):
        text = "expected settings such as 'servers:' at the top"
        raise SettingsError(problems=(document.problem((), "wrong-type", text),))
    return _validated(document, {**value, **_from_environment(environ)})


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    return {name: environ[key] for name in OVERRIDES if (key := f"SIDECAR_{name.upper()}") in environ}


def _validated(document: Document, value: dict[str, Any]) -> Settings:
    if "file" in value:
        text = f"file: 'file' is not a field here{known_fields(Settings)}"
        raise SettingsError(problems=(document.problem(("file",), "unknown-field", text, at_key=True),))
    try:
        loaded = Settings.model_validate({**value, "file": document.file})
    except ValidationError as error:
        problems: list[Problem] = model_problems(document, error, Settings)
        raise SettingsError(problems=tuple(problems)) from None
    if unusable := _unusable_authorities(document, loaded):
        raise SettingsError(problems=tuple(unusable))
    return loaded


def _unusable_authorities(document: Document, loaded: Settings) -> list[Problem]:
    """A ``ca`` that cannot be read would otherwise come to light only when its server is first called."""
    problems = []
    for index, server in enumerate(loaded.servers):
        if (path := loaded.ca_path(server)) is None:
            continue
        try:
            ssl.create_default_context(cafile=path)
        except (OSError, ssl.SSLError) as error:
            why = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
            text = f"servers.{index}.ca: {path} cannot be used: {why}; name a PEM file with the authority's certificate"
            problems.append(document.problem(("servers", index, "ca"), "invalid", text))
    return problems


def store_password(environ: Mapping[str, str] = os.environ) -> str:
    """The ClickHouse password: ``SIDECAR_STORE_PASSWORD``, or the file ``SIDECAR_STORE_PASSWORD_FILE`` names."""
    if file := environ.get("SIDECAR_STORE_PASSWORD_FILE"):
        try:
            return Path(file).read_text("utf-8").strip()
        except OSError as error:
            raise SettingsError(f"SIDECAR_STORE_PASSWORD_FILE: {file} cannot be read: {error.strerror}") from None
    return environ.get("SIDECAR_STORE_PASSWORD", "")


def resolve_secret(reference: str, environ: Mapping[str, str] = os.environ) -> str:
    """What ``env:NAME`` or ``file:PATH`` stands for; any other text stands for itself.

    Raises:
        SettingsError: the variable is not set or the file cannot be read; the message names it, never a value.
    """
    kind, _, rest = reference.partition(":")
    if kind == "env":
        if rest not in environ:
            raise SettingsError(f"the environment has no {rest}; set it, or change {reference!r} in the settings")
        return environ[rest]
    if kind == "file":
        try:
            return Path(rest).read_text("utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{rest} cannot be read ({error.strerror}); create it, or change {reference!r}") from None
    return reference


def open_data(settings: Settings) -> Path:
    """The data folder, created 0700 where it is missing, and shown to be writable.

    Raises:
        SettingsError: it cannot be created or written.
    """
    path = settings.data_path
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = path / f".writable-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise SettingsError(
            f"{settings.file}: error[data]: the data folder {path} cannot be written: {error.strerror}; "
            "make it writable for this user, or set 'data:' to another folder"
        ) from None
    return path


def node_key(data: Path) -> bytes:
    """The 32 bytes that key every fingerprint and session id of this node; made once, kept 0600 in the data folder."""
    file = data / "key"
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return create_once(file, secrets.token_bytes(32))


def reader_token(data: Path) -> str:
    """The password of the read-only endpoint, made once and kept 0600 in the data folder; the user is ``sidecar``."""
    file = data / "reader.token"
    try:
        return file.read_text("ascii")
    except FileNotFoundError:
        return create_once(file, secrets.token_hex(16).encode()).decode()


def create_once(file: Path, content: bytes) -> bytes:
    """Write a file 0600 unless it exists. Several processes may start at once: the first to link its file wins, all read it."""
    draft = file.with_name(f".{file.name}-{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return file.read_bytes()


def shipped(name: str) -> Path:
    """A folder that comes with the program (``dashboards``, ``policies``): beside the package, or inside it when installed."""
    inside = Path(__file__).parent / "shipped" / name
    return inside if inside.is_dir() else Path(__file__).parent.parent / name
