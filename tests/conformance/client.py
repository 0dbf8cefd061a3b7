"""The MCP client the conformance suite commands: it uses everything a server offers, whatever the scenario is.

The suite appends its server's address to the command, and tells scenario, revision and context in the environment.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client, MCPError
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp.types import CreateMessageResult, ElicitRequestFormParams, ElicitResult, ListRootsResult, TextContent, Tool

STATELESS = "2026-07-28"
SCENARIO = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
REVISION = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", STATELESS)
CONTEXT: dict[str, Any] = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
REDIRECT = "http://localhost:9/callback"  # nobody listens: where a browser would be sent is read from the redirect
# SEP-991: in the scenario of that name this address is the client's id, as the suite expects it.
METADATA_URL = "https://conformance-test.local/client-metadata.json" if SCENARIO == "auth/basic-cimd" else None
EXAMPLES: dict[str, Any] = {"string": "text", "integer": 3, "number": 2.5, "boolean": True, "array": [], "object": {}}


def filled(properties: Mapping[str, Any]) -> dict[str, Any]:
    """A value for each property: its default, or one of its type."""
    return {name: schema.get("default", EXAMPLES.get(schema.get("type", ""))) for name, schema in properties.items()}


async def elicit(context: Any, params: Any) -> ElicitResult:
    """A person who agrees to what the form proposes."""
    asked = params.requested_schema["properties"] if isinstance(params, ElicitRequestFormParams) else {}
    return ElicitResult(action="accept", content=filled(asked))


async def sample(context: Any, params: Any) -> CreateMessageResult:
    """A model of few words."""
    return CreateMessageResult(role="assistant", content=TextContent(type="text", text="yes"), model="fixture")


async def roots(context: Any) -> ListRootsResult:
    """A client without folders."""
    return ListRootsResult(roots=[])


class Memory:
    """Keeps tokens and registration while the process lives."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        """The last tokens."""
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep them."""
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """As whom this client is registered."""
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep it."""
        self.client = client_info


class Browser:
    """A person's browser that agrees at once: it opens the authorization page, and brings back what the redirect says."""

    def __init__(self) -> None:
        self._said: dict[str, list[str]] = {}

    async def open(self, url: str) -> None:
        """Ask for the page, and note where it sends the browser."""
        async with httpx2.AsyncClient() as http:
            answer = await http.get(url)
        self._said = parse_qs(urlsplit(answer.headers["location"]).query)

    async def come_back(self) -> AuthorizationCodeResult:
        """What the redirect carried."""
        return AuthorizationCodeResult(**{key: self._said[key][0] for key in ("code", "state", "iss") if key in self._said})


def authorization(url: str) -> OAuthClientProvider:
    """OAuth for the scenarios that ask for it; the others never answer 401."""
    memory, browser = Memory(), Browser()
    metadata = OAuthClientMetadata.model_validate({"redirect_uris": [REDIRECT], "client_name": "conformance-fixture"})
    if "client_id" in CONTEXT:
        known = {**CONTEXT, "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_basic"}
        memory.client = OAuthClientInformationFull.model_validate(known)
    return OAuthClientProvider(url, metadata, memory, browser.open, browser.come_back, METADATA_URL)


def calls_for(tools: list[Tool]) -> list[tuple[str, dict[str, Any]]]:
    """What to call: what the suite says, or each tool once with the arguments it requires."""
    if "toolCalls" in CONTEXT:
        return [(call["name"], call["arguments"]) for call in CONTEXT["toolCalls"]]
    schemas = {tool.name: tool.input_schema for tool in tools}
    calls = []
    for name, schema in schemas.items():
        required = {key: schema.get("properties", {})[key] for key in schema.get("required", [])}
        arguments = filled(required)
        if name == "json_schema_echo":
            arguments["schema"] = schemas["json_schema_2020_12_tool"]
        calls.append((name, arguments))
    return calls


async def use(client: Client) -> None:
    """List and use all there is."""
    capabilities = client.server_capabilities
    for name, arguments in calls_for((await client.list_tools()).tools):
        try:
            print(name, (await client.call_tool(name, arguments)).model_dump_json(exclude_none=True))
        except MCPError as error:
            print(name, error.code, error.message)
    if capabilities is not None and capabilities.resources is not None:
        for resource in (await client.list_resources()).resources:
            await client.read_resource(str(resource.uri))
    if capabilities is not None and capabilities.prompts is not None:
        for prompt in (await client.list_prompts()).prompts:
            await client.get_prompt(prompt.name)


async def main(url: str) -> None:
    """Connect in the era of the revision, and use the server."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx2.AsyncClient(auth=authorization(url), timeout=20))
        client = Client(
            streamable_http_client(url, http_client=http),
            mode="auto" if REVISION >= STATELESS else "legacy",
            elicitation_callback=elicit,
            sampling_callback=sample,
            list_roots_callback=roots,
        )
        await use(await stack.enter_async_context(client))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[-1]))
