"""The authority of a node: made once, kept for its owner, and never quietly replaced."""

import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from mitmproxy import certs

from sidecar.errors import SettingsError
from sidecar.transports.mitm import ca
from sidecar.transports.mitm.ca import open_authority


def test_it_is_made_once_whoever_comes_first(tmp_path: Path) -> None:
    """Programs that start together agree on one authority, and a restart keeps it, so clients trust it once."""
    made: list[bytes] = []
    threads = [threading.Thread(target=lambda: made.append(open_authority(tmp_path, "n").key.read_bytes())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(made) == 4
    assert set(made) == {open_authority(tmp_path, "n").key.read_bytes()}


def test_only_its_owner_reads_the_key(tmp_path: Path) -> None:
    """A folder that was left open is closed, and only one file holds the key."""
    (tmp_path / "ca").mkdir(mode=0o755)
    authority = open_authority(tmp_path, "n" * 200)
    assert stat.S_IMODE(authority.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(authority.key.stat().st_mode) == 0o600
    assert [file.name for file in authority.folder.iterdir() if b"PRIVATE" in file.read_bytes()] == [authority.key.name]
    name = authority.read().subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    assert isinstance(name, str) and name.startswith("MCP sidecar CA (nnn")


def test_its_certificates_are_for_the_server_alone(tmp_path: Path) -> None:
    """A leaf is signed by it, names one host, and is no authority itself."""
    authority = open_authority(tmp_path, "n")
    leaf = authority.store().get_cert("crm.example", [x509.DNSName("crm.example")]).cert.to_cryptography()
    leaf.verify_directly_issued_by(authority.read())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["crm.example"]
    with pytest.raises(x509.ExtensionNotFound):
        leaf.extensions.get_extension_for_class(x509.BasicConstraints)


def test_a_broken_authority_is_an_error(tmp_path: Path) -> None:
    """It is named with what to do; a new one would silently lock every client out."""
    key = open_authority(tmp_path, "n").key
    key.write_bytes(b"no key")
    with pytest.raises(SettingsError, match=r"sidecar-ca.pem: error\[ca\]: cannot be used"):
        open_authority(tmp_path, "n")
    assert key.read_bytes() == b"no key"


def test_an_expired_authority_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients would refuse every certificate without saying why, so the operator is told at the start."""
    monkeypatch.setattr(certs, "CA_EXPIRY", timedelta(days=1))
    monkeypatch.setattr(certs, "CERT_VALIDITY_OFFSET", -timedelta(days=3))
    with pytest.raises(SettingsError, match="expired on"):
        open_authority(tmp_path, "n")
    assert ca.Authority(tmp_path / "ca").read().not_valid_after_utc < datetime.now(UTC)
