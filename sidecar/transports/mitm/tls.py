"""TLS on both sides of a server's traffic: certificates of our own towards clients, and a strict check of the server's."""

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any, Final

from mitmproxy import connection, tls
from mitmproxy.addons import tlsconfig
from mitmproxy.addons.tlsconfig import TlsConfig
from mitmproxy.certs import CertStore
from mitmproxy.net import tls as net_tls
from OpenSSL import SSL

from sidecar.logs import get_logger
from sidecar.transports.routing import Target

log = get_logger("sidecar.proxy")

_HTTP1: Final = b"http/1.1"

Hook = Callable[[Any], None]


class SidecarTls(TlsConfig):
    """mitmproxy's TLS, with our authority in place of its own and the authorities each server's certificate may come from.

    ``store`` makes certificates towards clients, where there is a listener for that. ``trusted`` names a PEM file for each
    server that has one of its own; all others are checked against the public authorities. Nothing turns a check off.
    """

    def __init__(self, store: CertStore | None, trusted: Mapping[Target, str]) -> None:
        if store is not None:
            self.certstore = store
        self._trusted = trusted
        self._distrusted: set[str] = set()

    def configure(self, updated: set[str]) -> None:
        """Leave mitmproxy's own authority unmade."""

    def running(self) -> None:
        """The same."""

    @property
    def hooks(self) -> Mapping[str, Hook]:
        """The hooks this answers, by mitmproxy's names."""
        return {
            "tls_clienthello": self.tls_clienthello,
            "tls_start_client": self.tls_start_client,
            "tls_start_server": self.tls_start_server,
            "tls_failed_client": self.tls_failed_client,
        }

    def tls_failed_client(self, data: tls.TlsData) -> None:
        """A client that does not know our authority shows nothing but an error, so the operator is told, once a server."""
        host = (data.context.server.address or ("?",))[0]
        if host not in self._distrusted:
            self._distrusted.add(host)
            log.warning("a client broke off TLS; perhaps it does not trust the sidecar's CA (see: sidecar ca)", host=host)

    def tls_start_server(self, tls_start: tls.TlsData) -> None:
        """Begin TLS towards a server; its certificate must be for the name in the settings and from a trusted authority."""
        server = tls_start.conn
        assert isinstance(server, connection.Server) and server.address
        name = server.sni or server.address[0]
        server.sni = name
        offered = tls_start.context.client.alpn_offers
        server.alpn_offers = [_HTTP1] if _HTTP1 in offered else []
        version = net_tls.DEFAULT_MIN_VERSION
        context = net_tls.create_proxy_server_context(
            method=net_tls.Method.TLS_CLIENT_METHOD,
            min_version=version,
            max_version=net_tls.DEFAULT_MAX_VERSION,
            cipher_list=tlsconfig._default_ciphers(version),
            ecdh_curve=None,
            verify=net_tls.Verify.VERIFY_PEER,
            ca_path=None,
            # None: the public authorities, as certifi has them.
            ca_pemfile=self._trusted.get((server.address[0].lower(), server.address[1])),
            client_cert=None,
            legacy_server_connect=False,
        )
        tls_start.ssl_conn = SSL.Connection(context)
        _require_name(tls_start.ssl_conn, name)
        if server.alpn_offers:
            tls_start.ssl_conn.set_alpn_protos(list(server.alpn_offers))
        tls_start.ssl_conn.set_connect_state()


def _require_name(ssl_conn: SSL.Connection, name: str) -> None:
    """Make OpenSSL refuse a certificate that is not for this name, as mitmproxy does (RFC 6125 §6, RFC 6066 §3)."""
    lib: Any = SSL._lib  # type: ignore[attr-defined]
    parameters = lib.SSL_get0_param(ssl_conn._ssl)
    lib.X509_VERIFY_PARAM_set_hostflags(parameters, tlsconfig.DEFAULT_HOSTFLAGS)
    try:
        address = ipaddress.ip_address(name).packed
    except ValueError:
        encoded = name.encode("idna")
        ssl_conn.set_tlsext_host_name(encoded)
        is_set = lib.X509_VERIFY_PARAM_set1_host(parameters, encoded, len(encoded))
    else:
        is_set = lib.X509_VERIFY_PARAM_set1_ip(parameters, address, len(address))
    if is_set != 1:
        raise ValueError("the name of a server could not be required of its certificate")
