"""``sidecar dashboards push``: puts data source, folder and boards into a Grafana; a second push changes nothing.

Everything has a fixed uid and is compared before it is written. Grafana adds fields of its own to what it stores, so
"equal" means that what is there contains what we want. Nothing else in Grafana is changed.
"""

import argparse
import hashlib
import hmac
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from grafana_api.grafana_api import GrafanaException, GrafanaUnauthorizedError
from grafana_api.grafana_face import GrafanaFace

from sidecar.addresses import is_loopback
from sidecar.errors import SettingsError, SidecarError
from sidecar.grafana.board import load_board
from sidecar.grafana.build_boards import PLUGIN, SOURCE_UID, Json, board_files, dashboard
from sidecar.limits import GRAFANA_TIMEOUT_S
from sidecar.settings import Settings, node_key, open_data, reader_token, store_password

FOLDER_UID: Final = "sidecar"
FOLDER_TITLE: Final = "MCP sidecar"
SOURCE_NAME: Final = "MCP sidecar record"
_PASSWORD_MARK: Final = "sidecarFingerprint"
_PARTS_SHOWN: Final = 6

Credentials = str | tuple[str, str]
"""A service account's token, or user and password."""


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One write that a push makes: ``what`` names it, ``parts`` lists the fields that differ."""

    what: str
    parts: tuple[str, ...]
    write: Callable[[], object]

    def __str__(self) -> str:
        shown = ", ".join(self.parts[:_PARTS_SHOWN])
        more = f" and {len(self.parts) - _PARTS_SHOWN} more" if len(self.parts) > _PARTS_SHOWN else ""
        return f"{self.what}: {shown}{more}" if shown else self.what


class Grafana:
    """A Grafana server, with credentials to write to it.

    Raises:
        SettingsError: the URL is not a valid one for Grafana.
    """

    def __init__(self, url: str, credentials: Credentials) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise SettingsError(f"{url!r} is not a Grafana URL; write for example http://127.0.0.1:3000")
        prefix = parts.path.strip("/")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.url = f"{parts.scheme}://{parts.netloc}{'/' if prefix else ''}{prefix}"
        self._face = GrafanaFace(
            credentials,
            host=host,
            port=parts.port,
            protocol=parts.scheme,
            timeout=GRAFANA_TIMEOUT_S,
            url_path_prefix=f"{prefix}/" if prefix else "",
        )

    def differences(self, settings: Settings, environ: Mapping[str, str] = os.environ) -> list[PlannedChange]:
        """What a push would write, in order; empty when everything is up to date. Writes nothing.

        Raises:
            SidecarError: Grafana cannot be reached, refuses the credentials, or lacks the ClickHouse plugin.
        """
        self._check_plugin()
        changes = [self._source(settings, environ), self._folder()]
        for file in board_files():
            changes.append(self._board(dashboard(load_board(file), settings.store_address.database, settings.link_base)))
        return [change for change in changes if change is not None]

    def push(self, settings: Settings, environ: Mapping[str, str] = os.environ) -> list[PlannedChange]:
        """Write what differs, and return what was written.

        Raises:
            SidecarError: as ``differences``; what was written before it stays.
        """
        changes = self.differences(settings, environ)
        for change in changes:
            self._write(change.write)
        return changes

    def close(self) -> None:
        """Close the connections."""
        self._face.api.s.close()

    def _check_plugin(self) -> None:
        if self._get(lambda: self._face.api.GET(f"/plugins/{PLUGIN}/settings")) is None:
            text = f"Grafana at {self.url} does not have the ClickHouse data source plugin"
            raise SidecarError(f"{text}; install it with 'grafana cli plugins install {PLUGIN}' and restart Grafana")

    def _source(self, settings: Settings, environ: Mapping[str, str]) -> PlannedChange | None:
        wanted, password = _source(settings, environ)
        have = self._get(lambda: self._face.api.GET(f"/datasources/uid/{SOURCE_UID}"))
        secured = wanted | {"secureJsonData": {"password": password}}
        if have is None:
            return PlannedChange("create data source", (), lambda: self._face.datasource.create_datasource(secured))
        if not (parts := different(wanted, have)):
            return None
        # Settings that people added (a time limit, TLS) are kept.
        secured["jsonData"] = have.get("jsonData", {}) | wanted["jsonData"]
        return PlannedChange(
            "update data source", parts, lambda: self._face.api.PUT(f"/datasources/uid/{SOURCE_UID}", json=secured)
        )

    def _folder(self) -> PlannedChange | None:
        if self._get(lambda: self._face.folder.get_folder(FOLDER_UID)) is not None:
            return None
        return PlannedChange("create folder", (), lambda: self._face.folder.create_folder(FOLDER_TITLE, FOLDER_UID))

    def _board(self, wanted: Json) -> PlannedChange | None:
        have = self._get(lambda: self._face.dashboard.get_dashboard(wanted["uid"]))
        written = {
            "dashboard": wanted,
            "folderUid": FOLDER_UID,
            "overwrite": True,
            "message": f"sidecar dashboards push {wanted['tags'][1]}",
        }
        parts: tuple[str, ...] = ()
        if have is not None:
            parts = different({"dashboard": wanted, "meta": {"folderUid": FOLDER_UID}}, have)
            if not parts:
                return None
        verb = "create" if have is None else "update"
        return PlannedChange(f"{verb} board {wanted['uid']}", parts, lambda: self._face.dashboard.update_dashboard(written))

    def _get(self, ask: Callable[[], Any]) -> Any:
        """The response, or ``None`` when there is no such object."""
        try:
            return ask()
        except GrafanaException as error:
            if error.status_code == 404:
                return None
            raise self._explained(error) from None
        except (OSError, ValueError) as error:
            raise self._explained(error) from None

    def _write(self, ask: Callable[[], Any]) -> None:
        try:
            ask()
        except (GrafanaException, OSError, ValueError) as error:
            raise self._explained(error) from None

    def _explained(self, error: Exception) -> SidecarError:
        if isinstance(error, GrafanaUnauthorizedError):
            hint = "set GRAFANA_TOKEN to the token of a service account, or GRAFANA_USER and GRAFANA_PASSWORD"
            return SidecarError(f"Grafana at {self.url} refuses the credentials (401); {hint}")
        if isinstance(error, GrafanaException) and error.status_code == 403:
            hint = "grant dashboards:write, folders:create and datasources:write, as the role Admin has"
            return SidecarError(f"Grafana at {self.url} does not let these credentials do that (403: {_said(error)}); {hint}")
        if isinstance(error, GrafanaException):
            return SidecarError(f"Grafana at {self.url} answers with status {error.status_code}: {_said(error)}")
        if isinstance(error, ValueError):
            return SidecarError(f"the response from {self.url} is not from Grafana's API; is the URL complete, with its path?")
        return SidecarError(
            f"Grafana at {self.url} cannot be reached ({type(error).__name__}); is it running, and is this its URL?"
        )


def different(wanted: Any, have: Any, path: str = "") -> tuple[str, ...]:
    """The paths at which ``have`` lacks or contradicts ``wanted``; anything more that it has is ignored."""
    if isinstance(wanted, dict) and isinstance(have, dict):
        found = [different(value, have.get(key), f"{path}.{key}" if path else key) for key, value in wanted.items()]
        return tuple(place for places in found for place in places)
    if isinstance(wanted, list) and isinstance(have, list) and len(wanted) == len(have):
        found = [different(one, other, f"{path}[{index}]") for index, (one, other) in enumerate(zip(wanted, have, strict=True))]
        return tuple(place for places in found for place in places)
    # Grafana omits empty values, so wanting an empty value and finding none are the same.
    return () if wanted == have or (not wanted and have is None) else (path,)


def _source(settings: Settings, environ: Mapping[str, str]) -> tuple[Json, str]:
    """The data source, without its password, and the password."""
    data = open_data(settings)
    address = settings.store_address
    if address.kind == "clickhouse":
        host, port, user, is_secure, password = (
            address.host,
            address.port,
            address.user,
            address.secure,
            store_password(environ),
        )
    else:
        name, _, number = settings.reader.rpartition(":")
        host, port, user, is_secure, password = name.strip("[]"), int(number), "sidecar", False, reader_token(data)
    # Grafana never returns a password. A keyed hash stored beside it shows whether it is still the same.
    mark = hmac.new(node_key(data), f"grafana:{password}".encode(), hashlib.sha256).hexdigest()[:16]
    wanted = {
        "uid": SOURCE_UID,
        "name": SOURCE_NAME,
        "type": PLUGIN,
        "access": "proxy",
        "jsonData": {
            "host": host,
            "port": port,
            "protocol": "http",
            "secure": is_secure,
            "username": user,
            "defaultDatabase": address.database,
            _PASSWORD_MARK: mark,
        },
    }
    return wanted, password


def _said(error: GrafanaException) -> str:
    message = error.response.get("message", "") if isinstance(error.response, dict) else ""
    return ascii(str(message))[:200] or "no reason given"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``sidecar dashboards push``."""
    parser.add_argument(
        "--url",
        default=os.environ.get("GRAFANA_URL", "http://127.0.0.1:3000"),
        help="Grafana's URL (default: GRAFANA_URL, or %(default)s)",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be written, and write nothing")


def run(args: argparse.Namespace, settings: Settings, environ: Mapping[str, str] = os.environ) -> int:
    """Push, or with ``--dry-run`` show what a push would do; returns 0.

    Raises:
        SidecarError: no credentials are set, or Grafana cannot be reached or refuses.
    """
    grafana = Grafana(args.url, _credentials(environ))
    try:
        changes = grafana.differences(settings, environ) if args.dry_run else grafana.push(settings, environ)
    finally:
        grafana.close()
    would = "would " if args.dry_run else ""
    for change in changes:
        sys.stdout.write(f"{would}{change}\n")
    if not changes:
        sys.stdout.write(f"{grafana.url} is up to date\n")
    if settings.store_address.kind == "chdb" and not is_loopback(urlsplit(args.url).hostname or ""):
        note = f"note: Grafana will read the record at {settings.reader}, as seen from the machine it runs on"
        sys.stdout.write(f"{note}; if that is not this machine, set 'reader:' to an address it can reach\n")
    return 0


def _credentials(environ: Mapping[str, str]) -> Credentials:
    if token := environ.get("GRAFANA_TOKEN"):
        return token
    if (user := environ.get("GRAFANA_USER")) and (password := environ.get("GRAFANA_PASSWORD")):
        return user, password
    hint = "set GRAFANA_TOKEN to a service account's token, or GRAFANA_USER and GRAFANA_PASSWORD"
    raise SettingsError(f"no credentials for Grafana; {hint}")
