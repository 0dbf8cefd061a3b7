"""A stand-in for Grafana's HTTP API, as far as a push uses it: it keeps uids and versions and adds fields of its own."""

import base64
import copy
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Json = dict[str, Any]


class FakeGrafana:
    """Serves ``/api`` on loopback. ``writes`` names every request that changed something."""

    def __init__(self, prefix: str = "") -> None:
        self.token = "token-" + "of-a-service-account"
        self.login = ("admin", "a long " + "password")
        self.plugins = {"grafana-clickhouse-datasource"}
        self.sources: dict[str, Json] = {}
        self.secrets: dict[str, Json] = {}
        self.folders: dict[str, Json] = {"general": {"uid": "general", "title": "General"}}
        self.boards: dict[str, Json] = {}
        self.writes: list[str] = []
        self.status: int | None = None
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._serve({})

            def do_POST(self) -> None:
                self._serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            do_PUT = do_POST

            def _serve(self, body: Json) -> None:
                path, authorization = self.path.removeprefix(prefix), self.headers.get("Authorization", "")
                status, answer = fake.answer(self.command, path, body, authorization)
                text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}{prefix}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, method: str, path: str, body: Json, authorization: str) -> tuple[int, Json | bytes]:
        """One request, as Grafana's handlers answer it."""
        basic = "Basic " + base64.b64encode(":".join(self.login).encode()).decode()
        if authorization not in (f"Bearer {self.token}", basic):
            return 401, {"message": "Invalid API key"}
        if self.status is not None:
            return self.status, {"message": "permission denied by a role"} if self.status >= 400 else b"<!doctype html>"
        if not path.startswith("/api/"):
            return 404, b"<!doctype html><title>Grafana</title>"
        kind, _, rest = path.removeprefix("/api/").partition("/")
        serve: Callable[[str, str, Json], tuple[int, Json | bytes]] = getattr(self, f"_{kind}")
        if method != "GET":
            self.writes.append(f"{method} {path}")
        return serve(method, rest, body)

    def _plugins(self, method: str, rest: str, body: Json) -> tuple[int, Json | bytes]:
        name = rest.removesuffix("/settings")
        if name not in self.plugins:
            return 404, {"message": "Plugin not found, no installed plugin with that id"}
        return 200, {"id": name, "enabled": True}

    def _datasources(self, method: str, rest: str, body: Json) -> tuple[int, Json | bytes]:
        uid = rest.removeprefix("uid/") if rest else body["uid"]
        if method == "GET":
            return (200, self.sources[uid]) if uid in self.sources else (404, {"message": "Data source not found"})
        if method == "POST" and any(uid == have or body["name"] == source["name"] for have, source in self.sources.items()):
            return 409, {"message": "data source with the same name already exists"}
        secrets = body.pop("secureJsonData", {})
        self.secrets[uid] = self.secrets.get(uid, {}) | secrets
        version = self.sources.get(uid, {}).get("version", 0) + 1
        # Grafana stores fields of its own beside those it was given, and never gives a password back.
        own = {"id": 1, "orgId": 1, "basicAuth": False, "isDefault": False, "readOnly": False, "url": "", "user": ""}
        fields = {"secureJsonFields": dict.fromkeys(self.secrets[uid], True), "version": version}
        self.sources[uid] = own | body | fields
        return 200, {"datasource": self.sources[uid], "message": "Datasource added"}

    def _folders(self, method: str, rest: str, body: Json) -> tuple[int, Json | bytes]:
        if method == "GET":
            return (200, self.folders[rest]) if rest in self.folders else (404, {"message": "folder not found"})
        self.folders[body["uid"]] = body | {"id": 7, "version": 1}
        return 200, self.folders[body["uid"]]

    def _dashboards(self, method: str, rest: str, body: Json) -> tuple[int, Json | bytes]:
        if method == "GET":
            uid = rest.removeprefix("uid/")
            return (200, self.boards[uid]) if uid in self.boards else (404, {"message": "Dashboard not found"})
        board = copy.deepcopy(body["dashboard"])
        if body["folderUid"] not in self.folders:
            return 400, {"message": "folder not found"}
        have = self.boards.get(board["uid"])
        if have and not body.get("overwrite") and board.get("version") != have["dashboard"]["version"]:
            return 412, {"message": "The dashboard has been changed by someone else"}
        board |= {"id": 12, "version": have["dashboard"]["version"] + 1 if have else 1}
        for panel in board["panels"]:
            panel |= {"pluginVersion": "12.3.0", "transparent": False}
            panel["fieldConfig"]["defaults"].setdefault("custom", {})["hideFrom"] = {"legend": False}
        for variable in board["templating"]["list"]:
            variable["allowCustomValue"] = True
        board.pop("weekStart", None)
        self.boards[board["uid"]] = {"dashboard": board, "meta": {"folderUid": body["folderUid"], "slug": "x"}}
        return 200, {"uid": board["uid"], "status": "success", "version": board["version"]}
