"""Validates and parses the addresses and names in settings, with a message that says how to fix them."""

import ipaddress
import socket
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

STARTER: Final = "starter"
"""What the policies that come with the program are called where folders of policies are named."""


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not host:port; write for example 127.0.0.1:9001")
    _ = host
    return text


def _upstream(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{text!r} is not an http(s) address; write for example http://127.0.0.1:8001")
    try:
        _ = parts.hostname.encode("idna")
    except UnicodeError:
        raise ValueError(f"the host of {text!r} is not a valid name; a part between two dots is empty or too long") from None
    try:
        _ = parts.port
    except ValueError:
        raise ValueError(f"the port of {text!r} is not a number up to 65535; fix it") from None
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        extra = parts.path or "?" + parts.query
        raise ValueError(f"leave {extra!r} out: paths are passed on unchanged, so write {parts.scheme}://{parts.netloc}")
    return f"{parts.scheme}://{parts.netloc}"


def _webhook(text: str) -> str:
    if text.startswith(("env:", "file:")):
        return text
    if urlsplit(text).scheme not in ("http", "https"):
        raise ValueError("a webhook is an http(s) address, or env:NAME or file:PATH that contains one")
    return text


def _reference(text: str) -> str:
    if not text.startswith(("env:", "file:")) or text in ("env:", "file:"):
        raise ValueError("write env:NAME or file:PATH here; the secret itself does not belong in this file")
    return text


def _name(text: str) -> str:
    if not text.replace("-", "").replace("_", "").replace(".", "").isalnum() or len(text) > 64:
        raise ValueError(f"{text!r} is not a name; use letters, digits, '-', '_' and '.', at most 64")
    return text


def _folders(value: Any) -> Any:
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list | tuple) or not named or not all(isinstance(each, str) and each for each in named):
        raise ValueError(f"name a folder, or a list of folders such as [{STARTER}, ./policies]")
    return tuple(named)


Address = Annotated[str, AfterValidator(_address)]
Name = Annotated[str, AfterValidator(_name)]
Upstream = Annotated[str, AfterValidator(_upstream)]
Webhook = Annotated[str, AfterValidator(_webhook)]
Reference = Annotated[str, AfterValidator(_reference)]
Folders = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(_folders)]


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where the record is kept: embedded chDB below ``data``, or a ClickHouse server over HTTP."""

    kind: Literal["chdb", "clickhouse"] = "chdb"
    host: str = ""
    port: int = 8123
    user: str = "default"
    database: str = "sidecar"
    secure: bool = False


def parse_store(text: str) -> StoreAddress:
    """``chdb`` or ``clickhouse://user@host:port/database?secure=true``; the password never stands in it.

    Raises:
        ValueError: the text is neither, or holds a password.
    """
    if text == "chdb":
        return StoreAddress()
    example = "write chdb, or for example clickhouse://user@host:8443/sidecar?secure=true"
    parts = urlsplit(text)
    if parts.scheme != "clickhouse" or not parts.hostname:
        raise ValueError(f"this is not a store; {example}")
    if parts.password:
        raise ValueError("a password does not belong in the file; take it out and set SIDECAR_STORE_PASSWORD")
    query = parse_qs(parts.query, strict_parsing=bool(parts.query))
    if unknown := set(query) - {"secure"}:
        raise ValueError(f"{sorted(unknown)[0]!r} is not an option of a store; {example}")
    database = parts.path.strip("/") or "sidecar"
    if not database.replace("_", "a").isalnum():
        raise ValueError(f"{database!r} is not a database name; use letters, digits and '_'")
    is_secure = query.get("secure", ["false"])[0] == "true"
    return StoreAddress(
        kind="clickhouse",
        host=parts.hostname,
        port=parts.port or (8443 if is_secure else 8123),
        user=unquote(parts.username or "default"),
        database=database,
        secure=is_secure,
    )


def host_port(address: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:80``; ``[::1]:80`` gives ``::1``, and an empty host means every address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "0.0.0.0", int(port or 0)


def plain_host(host: str) -> str:
    """The normal form of a host: lower case, no trailing dot, and an IP address as it is usually written.

    Resolvers accept an IPv4 address as one number, in hexadecimal, octal, or with parts left out (RFC 3986 §7.4), and the
    unspecified address (0.0.0.0 or ::) reaches the machine itself.
    """
    name = host.strip("[]").rstrip(".").lower()
    try:
        ip = ipaddress.ip_address(name)
    except ValueError:
        try:
            ip = ipaddress.ip_address(socket.inet_aton(name))
        except (OSError, UnicodeError):
            return name
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return "localhost" if ip.is_unspecified else str(ip)


def is_loopback(host: str) -> bool:
    """Whether an address or name is a loopback one."""
    if host in ("localhost", ""):
        return host == "localhost"
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
