"""Configurations that nobody wrote: servers of every kind, laid out in any way, with secrets that must never be seen."""

import json
import string
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from sidecar.install.jsonc import dump

LETTERS = string.ascii_letters + string.digits
TOKENS = st.text(LETTERS, min_size=24, max_size=40).filter(
    lambda text: any(each.isdigit() for each in text) and any(each.isalpha() for each in text)
)
"""What looks like a token wherever it stands."""
PASSWORDS = st.text(LETTERS, min_size=8, max_size=14).map(lambda text: "zq7" + text)
"""What looks like nothing in particular, and is known for a secret only by its place."""
WORDS = st.sampled_from(["-y", "run", "--port", "8080", "server.js", "@scope/name", "--stdio", "", "a b", "–é😀", "--", "wrap"])
KEYS = st.sampled_from(["files", "git hub", "wiki", "a.b", "ünï", "x" * 70, "..", "sidecar", "crm"])
HOSTS = st.sampled_from(
    [
        "https://a.example.com",
        "HTTP://B.example.com:8080",
        "http://127.0.0.1:9001",
        "http://[::1]:3000",
        "http://127.0.0.1:18001",
        "http://127.0.0.1:19001",
    ]
)
SPACE = st.sampled_from(["", " ", "\n    ", "\r\n\t", " /* c */ ", " // c\n"])


@dataclass(frozen=True, slots=True)
class Config:
    """A file's text, and the secrets in it."""

    text: str
    secrets: tuple[str, ...]


@st.composite
def stdio(draw: st.DrawFn) -> tuple[dict[str, Any], list[str]]:
    token, password = draw(TOKENS), draw(PASSWORDS)
    args = draw(st.lists(WORDS, max_size=4))
    used: list[str] = []
    for form, secret in draw(
        st.lists(
            st.sampled_from(
                [
                    (("--api-key", "{}"), password),
                    (("--token={}",), password),
                    (("{}",), token),
                    (("-e", "DB_PASS={}"), password),
                    (("--header", "X-Any: {}"), password),
                    (("Authorization: Bearer {}",), password),
                    (("postgres://me:{}@db/x",), password),
                    (("https://h.example/mcp/{}/sse",), token),
                    (("https://h.example/mcp?k={}",), password),
                    (("Server=db;Pwd={}",), password),
                ]
            ),
            max_size=3,
        )
    ):
        args += [word.format(secret) for word in form]
        used.append(secret)
    entry: dict[str, Any] = {"command": draw(st.sampled_from(["npx", "/usr/bin/env", "cmd", "sh", "sidecar", "python3"]))}
    if bool(args) or draw(st.booleans()):
        entry["args"] = args
    if draw(st.booleans()):
        secret = draw(PASSWORDS)
        entry["env"] = {"ANY": secret, "OTHER": draw(TOKENS)}
        used += entry["env"].values()
    if draw(st.booleans()):
        entry["disabled"] = draw(st.booleans())
    return entry, used


@st.composite
def http(draw: st.DrawFn) -> tuple[dict[str, Any], list[str]]:
    token, password = draw(TOKENS), draw(PASSWORDS)
    scheme, _, host = draw(HOSTS).partition("://")
    login = f"me:{password}@" if draw(st.booleans()) else ""
    rest = draw(st.sampled_from(["", "/", "/mcp", f"/s/{token}/sse", f"/mcp?key={password}", f"/mcp#{password}"]))
    entry: dict[str, Any] = {"url": f"{scheme}://{login}{host}{rest}"}
    if draw(st.booleans()):
        entry["headers"] = {"Authorization": f"Bearer {password}", "X-Any": password}
    return entry, [token, password]


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """A file of Cursor's form, with comments and trailing commas, in any layout."""
    keys = draw(st.lists(KEYS, unique=True, max_size=5))
    servers: dict[str, Any] = {}
    used: list[str] = []
    for key in keys:
        servers[key], more = draw(st.one_of(stdio(), http()))
        used += more
    token = draw(TOKENS)
    value = {"other": {"approved": [token]}, "mcpServers": servers, token: True, "n": 12345678901}
    text = _laid_out(draw, value)
    comment = draw(st.sampled_from([f"// key {token}\n", f"/* {token} */", "", "\ufeff"]))
    end = draw(st.sampled_from(["", "\n", "\r\n", "\n\n"]))
    return Config(comment + text + end, (*used, token, "12345678901"))


def _laid_out(draw: st.DrawFn, value: Any) -> str:
    if not isinstance(value, dict | list):
        return json.dumps(value) if draw(st.booleans()) else dump(value) if isinstance(value, str) else json.dumps(value)
    members = (
        [f"{json.dumps(key)}:{draw(SPACE)}{_laid_out(draw, each)}" for key, each in value.items()]
        if isinstance(value, dict)
        else [_laid_out(draw, each) for each in value]
    )
    space = draw(SPACE)
    inner = f",{space}".join(members) + ("," if bool(members) and draw(st.booleans()) else "")
    return ("{%s%s%s}" if isinstance(value, dict) else "[%s%s%s]") % (space, inner, draw(SPACE))
