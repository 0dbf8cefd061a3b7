"""What may be seen of a command, an address and a file."""

import secrets

import pytest

from sidecar.install.mask import HIDDEN, shown_args, shown_settings, shown_url


def test_an_ordinary_command_is_shown() -> None:
    """Packages, paths, flags and numbers are what one looks at to know what is wrapped."""
    words = ["npx", "-y", "@modelcontextprotocol/server-filesystem@2025.8.21", "/home/me/notes", "--port", "8080", "--stdio"]
    assert shown_args(words) == words
    words = ["docker", "run", "-i", "--rm", "ghcr.io/github/github-mcp-server"]
    assert shown_args(words) == words


@pytest.mark.parametrize(
    "form",
    [
        ["--api-key", "{}"],
        ["--password={}"],
        ["-H", "X-Any: {}"],
        ["--header", "{}"],
        ["-e", "NAME={}"],
        ["NAME={}"],
        ["-eNAME={}"],
        ["X-Any: {}"],
        ["Bearer {}"],
        ["https://me:{}@host/x"],
        ["https://host/x?a={}"],
        ["https://host/x#{}"],
        ["--url=https://me:{}@host/x"],
        ["--dsn", "{}"],
        ["line\n{}"],
    ],
)
def test_a_secret_is_known_by_its_place(form: list[str]) -> None:
    """A short password that looks like nothing is hidden after a flag, in an assignment, a header, a login or a query."""
    secret = "pw" + secrets.token_hex(2)
    shown = shown_args(["cmd", *(word.format(secret) for word in form), "after"])
    assert secret not in " ".join(shown) and HIDDEN in " ".join(shown)
    assert shown[0] == "cmd" and len(shown) == len(form) + 2


def test_a_secret_is_known_by_its_looks() -> None:
    """Tokens are hidden wherever they stand, by their shape or by the detectors."""
    for token in (
        secrets.token_hex(16),
        secrets.token_urlsafe(24),
        "AK" + "IA" + "Q" * 16,
        "gh" + "p_" + secrets.token_hex(18),
    ):
        assert shown_args(["cmd", token, f"--x={token}", f"a/{token}"]) == ["cmd", HIDDEN, f"--x={HIDDEN}", HIDDEN]
        assert token not in shown_url(f"https://host/{token}/sse")


def test_an_address_shows_its_host_and_path() -> None:
    """What matters of an address is seen."""
    assert shown_url("https://h.example.com:8443/mcp/v1") == "https://h.example.com:8443/mcp/v1"
    assert shown_url("no address") == HIDDEN


def test_settings_show_servers_only() -> None:
    """A webhook's address is a secret, and so may be a comment; names and addresses of servers are not."""
    secret = secrets.token_hex(3)
    text = f"""# {secret}
servers:
  - {{name: a, listen: 127.0.0.1:1, upstream: "https://h"}} # {secret}
  - {{name: b, listen: 127.0.0.1:2, upstream: "https://me:{secret}@h"}}
alerts:
  - webhook: >-
      https://hooks.example.com/{secret}
data: {secret}
"""
    shown = shown_settings(text)
    assert secret not in shown
    assert '{name: a, listen: 127.0.0.1:1, upstream: "https://h"} # ***' in shown
