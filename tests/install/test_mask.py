"""What may be seen of a command, an address and a file."""

import json
import secrets

import pytest

from sidecar.install import jsonc, mask
from sidecar.install.clients import CLIENTS
from sidecar.install.mask import HIDDEN, shown_args, shown_settings, shown_url
from sidecar.install.secret_looks import is_harmless_comment, is_secret_name

CURSOR = next(client for client in CLIENTS if client.key == "cursor")


def shown_file(text: str) -> str:
    """Cursor's file as it would be shown."""
    return mask.shown_file(jsonc.parse(text), CURSOR, CURSOR.places[0])


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
    secret = "pw7" + secrets.token_hex(2)
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


def test_settings_hide_what_could_be_a_secret() -> None:
    """A webhook's address is a secret, and a comment may hold one; names and addresses of servers are none."""
    secret = "x7" + secrets.token_hex(3) + "5y"
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


@pytest.mark.parametrize(
    "words",
    [
        ["npx", "-y", "mcp-remote@0.1.29", "https://h.example.com/mcp?mode=full&limit=20"],
        ["docker", "run", "-i", "--rm", "-p", "127.0.0.1:8080:80", "-e", "LOG_LEVEL=debug", "-e", "GITHUB_TOKEN", "mcp/files"],
        ["uvx", "--from", "git+https://github.com/acme/Files-Server@v1.2.3", "files-server", "--max-tokens", "4096"],
        ["java", "-jar", "/opt/McpServer/build-20251104/server.jar", "-port", "8080", "--keyboard", "us", "--author", "Ines"],
        ["cmd", "/c", "node", "C:\\Program Files\\server\\index.js", "--token-limit=9000", "--key-file", "/home/me/key.pem"],
        ["sh", "-c", "exec ./ModelContextProtocolServer --stdio", "-t", "30s", "cookie-parser", "claude-3-5-sonnet-20241022"],
        ["srv", "--header", "Authorization: Bearer ${WIKI_TOKEN}", "--api-key", "${env:KEY}", "--no-auth", "--verbose"],
    ],
)  # fmt: skip
def test_what_cannot_be_a_secret_is_shown(words: list[str]) -> None:
    """Paths, packages with versions, plain flags, addresses without credentials, numbers and references stay readable."""
    assert shown_args(words) == words


def test_a_file_shows_what_is_harmless() -> None:
    """Variables, headers, numbers and comments that hold nothing to hide are shown as they are."""
    text = """{
  // started by hand until June; port 8080
  "theme": "One Dark", "version": 12, "telemetry": false, "seen": {"lastVersion": "1.2.3"},
  "mcpServers": {"a": {
    "command": "npx", "args": ["-y", "files-server"], "cwd": "./srv", "timeout": 600, "autoApprove": ["read_file"],
    "env": {"LOG_LEVEL": "debug", "ROOT": "/srv/data", "API_URL": "https://api.example.com/v1", "TOKEN": "${input:token}"},
    "headers": {"Accept": "application/json", "Authorization": "Bearer $WIKI"}
  }}
}"""
    assert shown_file(text) == text


@pytest.mark.parametrize(
    "form",
    [
        '"env": {"DB_PASS": "SECRET"}',
        '"env": {"API_KEY": "SECRET"}',
        '"env": {"PLAIN": "SECRET"}',
        '"env": {"DSN": "postgres://me:SECRET@db/x"}',
        '"env": {"HOST": "https://me:SECRET@h.example.com/"}',
        '"headers": {"Authorization": "Bearer SECRET"}',
        '"headers": {"authorization": "SECRET"}',
        '"headers": {"Cookie": "a=SECRET"}',
        '"headers": {"X-Api-Key": "SECRET"}',
        '"headers": {"X-Any": "SECRET"}',
        '"args": ["--password", "SECRET"]',
        '"args": ["--header", "Authorization: Basic SECRET"]',
        '"args": ["-u", "me:SECRET"]',
        '"args": ["-pSECRET"]',
    ],
)
def test_a_secret_of_a_file_is_hidden_by_its_place(form: str) -> None:
    """What variables, headers and flags for credentials hold is never shown, whatever it looks like."""
    secret = "pw7" + secrets.token_hex(2)
    shown = shown_file('{"mcpServers": {"a": {"command": "x", FORM}}}'.replace("FORM", form.replace("SECRET", secret)))
    assert secret not in shown and HIDDEN in shown


@pytest.mark.parametrize("name", ["DB_PASS", "token", "Authorization", "apiKey", "X-Api-Key", "Cookie", "client_secret", "PIN"])
def test_names_of_credentials(name: str) -> None:
    """A plain word under the name of a credential is hidden, a number too."""
    assert is_secret_name(name)
    for value in ("hunter", "4711"):
        text = json.dumps({"mcpServers": {"a": {"command": "x", "env": {name: value}}}})
        assert value not in shown_file(text) and HIDDEN in shown_file(text)


@pytest.mark.parametrize("name", ["keyboard", "max_tokens", "author", "LOG_LEVEL", "PATH", "key_file", "cursor", "monkey"])
def test_names_of_other_things(name: str) -> None:
    """Names in which a credential's word only happens to stand hide nothing."""
    assert not is_secret_name(name)


def test_comments() -> None:
    """A comment is shown unless it could hold a secret."""
    for text in ("// the wiki's server, see README", "# port 9001", "/* Node18\n and utf8 */"):
        assert is_harmless_comment(text)
    secret = "pw7" + secrets.token_hex(2)
    for text in (f"// token {secret}", "# password: hunter", f"# {secrets.token_hex(16)}", "# api_key=hunter"):
        assert not is_harmless_comment(text)


def test_settings_are_readable() -> None:
    """Modes, folders, ports and references to secrets are shown; only addresses with a secret in them are not."""
    text = """# the team's settings
servers: [{name: a, listen: 127.0.0.1:1, upstream: "https://h"}]
mode: monitor
policies: ./policies
page: 127.0.0.1:8600
keep_days: 30
secrets: ["env:CRM_KEY", "file:/run/secrets/crm"]
alerts:
  - {name: security, webhook: "env:SECURITY_WEBHOOK", severity: high}
"""
    assert shown_settings(text) == text
    assert shown_settings("store: clickhouse://me@db:8443/sidecar\n") == f"store: clickhouse://{HIDDEN}@db:8443/sidecar\n"
