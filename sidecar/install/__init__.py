"""``sidecar install`` and ``sidecar service``: into MCP clients' configurations and out again; started at login."""
