import http.client
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.errors import SettingsError
from sidecar.review import serve_page
from sidecar.settings import load, shipped
from tests.ports import free_port
from tests.review.conftest import Page, run_page
from tests.seeded import ROOT, write_settings


def status(page: Page, path: str, **headers: str) -> int:
    """What the page answers to a GET."""
    connection = http.client.HTTPConnection(page.address, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


def test_the_page_is_only_for_its_own_address(page: Page) -> None:
    """What a web page elsewhere sends to the review page is refused, plain request and web socket alike."""
    assert status(page, "/") == 200
    assert status(page, "/", Host="evil.example") == 403
    assert status(page, "/_stcore/health", Origin="http://evil.example") == 403
    assert status(page, "/_stcore/stream", **UPGRADE, Origin="http://evil.example") == 403
    assert status(page, "/_stcore/stream", **UPGRADE, Origin="http://localhost:3000") == 403
    assert status(page, "/_stcore/stream", **UPGRADE, Origin=f"http://{page.address}") == 101


def test_an_occupied_port_is_one_clear_sentence(tmp_path: Path) -> None:
    """When another program has the port, the command says so and what to change, and its exit code is 2."""
    settings = write_settings(tmp_path, free_port())
    with socket.create_server(serve_page.page_address(settings)):
        command = [sys.executable, "-m", "sidecar", "review", "-c", settings.file]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        f"{settings.file}: error[page]: {settings.page} is already in use; "
        "stop what uses it, or set 'page:' (or SIDECAR_PAGE) to another address\n"
    )


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    """An address that this machine does not have is told before Streamlit starts."""
    settings = write_settings(tmp_path, 1).model_copy(update={"page": "192.0.2.1:8501"})
    with pytest.raises(SettingsError, match=r"error\[page\]: 192\.0\.2\.1:8501 cannot be listened on \("):
        serve_page.run(settings)


def test_a_public_address_with_a_path_is_served_there(tmp_path: Path) -> None:
    """Behind a proxy under a path, Streamlit is told both."""
    file = tmp_path / "sidecar.yaml"
    text = Path(write_settings(tmp_path, 1).file).read_text()
    file.write_text(text + "page_url: https://mcp.ourco.example/sidecar/\n")
    given = serve_page.arguments(load(file, {}))
    assert "--server.baseUrlPath=sidecar" in given
    assert "--browser.serverAddress=mcp.ourco.example" in given
    assert "--browser.gatherUsageStats=false" in given


def test_ctrl_c_ends_the_page_quietly(tmp_path: Path) -> None:
    """Without a record the page still starts, and ends on Ctrl-C with exit code 0 and nothing on the screen."""
    with run_page(write_settings(tmp_path, free_port())) as page:
        page.process.send_signal(signal.SIGINT)
        assert page.process.wait(20) == 0
    assert page.log.read_text().strip() == ""


def test_what_the_page_imports_is_whole_before_it_serves(tmp_path: Path) -> None:
    """The first visitors, however many at once, see the page and never the traceback of a half-imported library."""
    file = tmp_path / "sidecar.yaml"
    file.write_text("data: data\n")
    code = (
        "import runpy, sys; runpy.run_path(sys.argv[1]); "
        "print([name for name in ('altair', 'pandas', 'pyarrow') if name not in sys.modules])"
    )
    server = shipped("dashboards") / "review" / "server.py"
    said = subprocess.run(
        [sys.executable, "-c", code, str(server)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "SIDECAR_CONFIG": str(file), "HOME": str(tmp_path)},
    )
    assert said.stdout.splitlines()[-1] == "[]"
