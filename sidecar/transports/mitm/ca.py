"""The certificate authority of this node: made on first use, kept for its owner alone, and explained by ``sidecar ca``.

Clients that come through the forward or transparent listener trust it for the servers of ``sidecar.yaml``; the sidecar makes
a certificate for nothing else.
"""

import argparse
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from mitmproxy import certs

from sidecar.errors import SettingsError
from sidecar.settings import Settings, create_once, open_data

_FOLDER: Final = "ca"
_KEY_BITS: Final = 3072
_NAME: Final = "MCP sidecar"


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority's files: ``key`` has key and certificate (0600), ``certificate`` and ``bundle`` are for clients.

    ``bundle`` also holds the public authorities, for clients in which a file replaces those.
    """

    folder: Path

    @property
    def key(self) -> Path:
        """Key and certificate; never shown."""
        return self.folder / "sidecar-ca.pem"

    @property
    def certificate(self) -> Path:
        """What clients trust."""
        return self.folder / "sidecar-ca-cert.pem"

    @property
    def bundle(self) -> Path:
        """What clients trust, with the public authorities."""
        return self.folder / "bundle.pem"

    def read(self) -> x509.Certificate:
        """The certificate."""
        return x509.load_pem_x509_certificate(self.key.read_bytes())

    def store(self) -> certs.CertStore:
        """What makes a certificate for each server when it is first asked for."""
        key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        # mitmproxy holds RSA keys only; ours is one.
        return certs.CertStore(key, certs.Cert(self.read()), None, b"", certs.DHParams(b""))  # type: ignore[arg-type]


def open_authority(data: Path, node: str) -> Authority:
    """The authority below the data folder, made if there is none.

    Raises:
        SettingsError: it cannot be read or written, or it has expired.
    """
    authority = Authority(data / _FOLDER)
    try:
        authority.folder.mkdir(mode=0o700, exist_ok=True)
        authority.folder.chmod(0o700)
        if not authority.key.exists():
            create_once(authority.key, _made(node))
        own = authority.read()
        pem = own.public_bytes(serialization.Encoding.PEM)
        _keep(authority.certificate, pem)
        _keep(authority.bundle, pem + b"\n" + Path(certifi.where()).read_bytes())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no certificate with its key"
        raise SettingsError(
            f"{authority.key}: error[ca]: cannot be used: {why}; fix it, or remove it and trust a new one"
        ) from None
    if own.not_valid_after_utc < datetime.now(UTC):
        text = f"{authority.key}: error[ca]: expired on {own.not_valid_after_utc:%Y-%m-%d}; remove it and trust a new one"
        raise SettingsError(text)
    return authority


def _made(node: str) -> bytes:
    key, certificate = certs.create_ca(_NAME, f"{_NAME} CA ({node})"[:64], _KEY_BITS)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def _keep(file: Path, content: bytes) -> None:
    if not file.exists() or file.read_bytes() != content:
        draft = file.with_name(f".{file.name}-{os.getpid()}")
        draft.write_bytes(content)
        draft.replace(file)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print where the certificate is and how clients come to trust it; makes it if there is none. Returns 0."""
    authority = open_authority(open_data(settings), settings.node)
    own = authority.read()
    if args.pem:
        sys.stdout.write(own.public_bytes(serialization.Encoding.PEM).decode())
        return 0
    proxy = f"http://{settings.forward}" if settings.forward else "(set 'forward: 127.0.0.1:9080' in sidecar.yaml first)"
    sys.stdout.write(_TEXT.format(
        certificate=authority.certificate, bundle=authority.bundle, proxy=proxy, until=f"{own.not_valid_after_utc:%Y-%m-%d}",
        name=str(own.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value),
        fingerprint=own.fingerprint(hashes.SHA256()).hex(":"),
    ))  # fmt: skip
    return 0


_TEXT: Final = """\
{name}, valid until {until}
  certificate  {certificate}
  with public  {bundle}
  sha256       {fingerprint}

The sidecar makes certificates with it only for the upstreams of sidecar.yaml. Trust it only in the clients that come
through the forward or transparent listener:

  Python (SDK, httpx, requests)    export SSL_CERT_FILE={bundle}
                                   export REQUESTS_CA_BUNDLE={bundle}
  Node (SDK, npx, Claude Code)     export NODE_EXTRA_CA_CERTS={certificate}
  everything on Debian, Ubuntu     sudo cp {certificate} /usr/local/share/ca-certificates/mcp-sidecar.crt
                                   sudo update-ca-certificates
  everything on macOS              security add-trusted-cert -k ~/Library/Keychains/login.keychain-db {certificate}

and point them at the forward listener:

  export HTTP_PROXY={proxy} HTTPS_PROXY={proxy}
  export http_proxy={proxy} https_proxy={proxy}
  (Node, from 22.21 or 24.5, also needs NODE_USE_ENV_PROXY=1; take the servers out of NO_PROXY)
"""
