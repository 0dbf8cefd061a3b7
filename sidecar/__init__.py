"""A sidecar for MCP servers: it decodes, judges, acts on and records every call."""

__version__ = "0.1.0"
