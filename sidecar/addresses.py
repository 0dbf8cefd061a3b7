"""Addresses as people write them: checked, explained where they are wrong, and taken apart."""

import ipaddress
import socket
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import AfterValidator


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
        raise ValueError(f"the host of {text!r} is no name; a part between two dots is empty or too long") from None
    try:
        _ = parts.port
    except ValueError:
        raise ValueError(f"the port of {text!r} is not a number up to 65535; mend it") from None
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        extra = parts.path or "?" + parts.query
        raise ValueError(f"leave {extra!r} out: paths are passed on unchanged, so write {parts.scheme}://{parts.netloc}")
    return f"{parts.scheme}://{parts.netloc}"


def _webhook(text: str) -> str:
    if text.startswith(("env:", "file:")):
        return text
    if urlsplit(text).scheme not in ("http", "https"):
        raise ValueError("a webhook is an http(s) address, or env:NAME or file:PATH that holds one")
    return text


def _reference(text: str) -> str:
    if not text.startswith(("env:", "file:")) or text in ("env:", "file:"):
        raise ValueError("only env:NAME or file:PATH may stand here; a secret itself does not belong in a file")
    return text


def _name(text: str) -> str:
    if not text.replace("-", "").replace("_", "").replace(".", "").isalnum() or len(text) > 64:
        raise ValueError(f"{text!r} is not a name; use letters, digits, '-', '_' and '.', 64 at most")
    return text


Address = Annotated[str, AfterValidator(_address)]
Name = Annotated[str, AfterValidator(_name)]
Upstream = Annotated[str, AfterValidator(_upstream)]
Webhook = Annotated[str, AfterValidator(_webhook)]
Reference = Annotated[str, AfterValidator(_reference)]


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
    """``127.0.0.1:80`` taken apart; ``[::1]:80`` gives ``::1``, and no host at all is every address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "0.0.0.0", int(port or 0)


def plain_host(host: str) -> str:
    """One spelling of a host: lower case, no root dot, and an address as it is usually written.

    Resolvers take an IPv4 address as one number, in hexadecimal, octal, or with parts left out (RFC 3986 §7.4), and the one
    that stands for every address of a machine leads to the machine itself.
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
    """Whether an address or name is this machine's own."""
    if host in ("localhost", ""):
        return host == "localhost"
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
