"""The client of the conformance suite with a sidecar of its own between it and the suite's server.

``python -m tests.conformance.through reverse URL`` gives the client the sidecar's address in place of the server's;
``forward`` lets it call the server by the server's own address, and sets the sidecar as its proxy.
"""

import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from tests import compiled
from tests.conformance.suite import ROOT
from tests.e2e.conftest import Program, is_open, until
from tests.ports import free_port

SETTINGS = {
    "reverse": "servers: [{{name: peer, listen: '127.0.0.1:{port}', upstream: '{upstream}'}}]\n",
    "forward": "forward: '127.0.0.1:{port}'\nservers: [{{name: peer, upstream: '{upstream}'}}]\n",
}
RECORD = "policies: {policies}\ndata: {folder}/data\nreader: '127.0.0.1:{reader}'\npage: '127.0.0.1:{page}'\n"


def run(mode: str, url: str, folder: Path) -> None:
    """Start a sidecar in front of the suite's server, and run the client through it."""
    port, parts, file = free_port(), urlsplit(url), folder / "sidecar.yaml"
    text = SETTINGS[mode].format(port=port, upstream=f"{parts.scheme}://{parts.netloc}")
    file.write_text(text + RECORD.format(policies=ROOT / "policies", folder=folder, reader=free_port(), page=free_port()))
    compiled.lend(folder / "data")
    sidecar = Program([sys.executable, "-m", "sidecar", "proxy", "-c", str(file)], folder / "proxy.log", PYTHONPATH=str(ROOT))
    try:
        # Loading the client takes as long as the sidecar's start, so they go side by side.
        from tests.conformance import client

        until(lambda: is_open(port) or sidecar.process.poll() is not None, "the sidecar to listen")
        if sidecar.process.poll() is not None:
            sys.exit(sidecar.output)
        if mode == "forward":
            os.environ.update(http_proxy=f"http://127.0.0.1:{port}", no_proxy="", NO_PROXY="")
        else:
            url = parts._replace(netloc=f"localhost:{port}").geturl()
        asyncio.run(client.main(url))
    finally:
        sidecar.stop(signal.SIGTERM)
    kept = b"".join(file.read_bytes() for file in (folder / "data").rglob("*") if file.is_file())
    if b'"server":"peer"' not in kept:
        sys.exit("nothing of this stands in the record: the client went past the sidecar")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="conformance-through-") as name:
        run(sys.argv[1], sys.argv[2], Path(name))
