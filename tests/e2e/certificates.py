"""Certificates the tests make for their own servers, from an authority nobody else knows."""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from mitmproxy import certs


@dataclass(frozen=True, slots=True)
class Issued:
    """``ca`` is what to trust, ``server`` has the key and certificate of a server."""

    ca: Path
    server: Path


def issue(folder: Path, *names: str) -> Issued:
    """An authority, and a certificate from it for these host names."""
    key, ca = certs.create_ca("Tests", "Tests of the sidecar", 2048)
    leaf = certs.dummy_cert(key, ca, names[0], [x509.DNSName(name) for name in names])
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    issued = Issued(folder / "tests-ca.pem", folder / "server.pem")
    issued.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    issued.server.write_bytes(private + leaf.to_pem())
    return issued
