"""The sidecar put into MCP clients' configurations, and taken out again, with nothing else in those files changed."""
