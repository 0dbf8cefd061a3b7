"""A real MCP server that demands OAuth, with the smallest real authorization server beside it, both of the official SDK."""

import argparse
import secrets
import time
from pathlib import Path

import uvicorn
from mcp.server import MCPServer
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    TokenError,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken


class Provider(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """Lets everybody in who registers, and writes down every secret it gives out."""

    def __init__(self, issued: Path) -> None:
        self._issued = issued
        self._clients: dict[str, OAuthClientInformationFull] = {}
        self._codes: dict[str, AuthorizationCode] = {}
        self._tokens: dict[str, AccessToken] = {}

    def _new(self) -> str:
        value = secrets.token_urlsafe(32)
        with self._issued.open("a") as file:
            file.write(value + "\n")
        return value

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        """A registered client."""
        return self._clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        """Dynamic registration."""
        assert client_info.client_id
        if client_info.client_secret:
            with self._issued.open("a") as file:
                file.write(client_info.client_secret + "\n")
        self._clients[client_info.client_id] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        """Consent, given at once."""
        assert client.client_id
        code = AuthorizationCode(
            code=self._new(),
            scopes=params.scopes or [],
            expires_at=time.time() + 60,
            client_id=client.client_id,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        self._codes[code.code] = code
        return construct_redirect_uri(str(params.redirect_uri), code=code.code, state=params.state)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        """A code that was given out."""
        return self._codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        """A token for a code, once."""
        del self._codes[authorization_code.code]
        token = AccessToken(
            token=self._new(),
            client_id=authorization_code.client_id,
            scopes=authorization_code.scopes,
            resource=authorization_code.resource,
        )
        self._tokens[token.token] = token
        return OAuthToken(access_token=token.token, expires_in=600, scope=" ".join(token.scopes))

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        """None is ever given out."""
        return None

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        """None is ever given out."""
        raise TokenError("invalid_grant")

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        """It is forgotten."""
        self._tokens.pop(token.token, None)

    async def load_access_token(self, token: str) -> AccessToken | None:
        """A token that was given out."""
        return self._tokens.get(token)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--cert", required=True)
    parser.add_argument("--issued", type=Path, required=True)
    options = parser.parse_args()
    origin = f"https://localhost:{options.port}"
    settings = AuthSettings(
        issuer_url=origin,  # type: ignore[arg-type]
        resource_server_url=f"{origin}/mcp",  # type: ignore[arg-type]
        required_scopes=["tools"],
        client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=["tools"], default_scopes=["tools"]),
        validate_token_resource=True,
    )
    server = MCPServer("guarded", auth_server_provider=Provider(options.issued), auth=settings, log_level="ERROR")

    @server.tool()
    def whoami() -> str:
        """Only for those who are let in."""
        return "somebody with a token"

    uvicorn.run(server.streamable_http_app(), host="127.0.0.1", port=options.port, log_level="error", ssl_certfile=options.cert)
