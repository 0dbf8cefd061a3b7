"""Whether the addresses of the settings can be listened on, and one message for each that cannot."""

import errno
import os
import socket

from sidecar.addresses import host_port
from sidecar.settings import Settings


def fault_at(address: str) -> str:
    """Why nothing can listen at ``host:port`` now (``is already in use``, say); empty when something can."""
    host, port = host_port(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return reason(error)
    return ""


def reason(error: Exception) -> str:
    """What an error of listening comes to, as the rest of a sentence that begins with the address."""
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return "is already in use"
    if isinstance(error, socket.gaierror) or not isinstance(number, int):
        return f"cannot be listened on ({getattr(error, 'strerror', '') or type(error).__name__})"
    return f"cannot be listened on ({os.strerror(number)})"


def message(settings: Settings, address: str, why: str) -> str:
    """What to tell whoever wrote the settings: the address, ``why`` it cannot be had, and which setting changes it."""
    return f"{settings.file}: {problem(_setting_of(settings, address), address, why)}"


def problem(setting: str, address: str, why: str) -> str:
    """The same without the file, for an address whose setting is known."""
    advice = {
        "listen": "give this server another 'listen'",
        "page": "set 'page:' (or SIDECAR_PAGE) to another address",
        "reader": "set 'reader:' (or SIDECAR_READER) to another address",
    }.get(setting, f"set '{setting}:' to another address")
    return f"error[{setting}]: {address} {why}; stop what uses it, or {advice}"


def _setting_of(settings: Settings, address: str) -> str:
    known = {settings.page: "page", settings.reader: "reader"}
    known |= {settings.forward: "forward", settings.transparent: "transparent"}
    return known.get(address, "listen") if address else "listen"
