"""HTTP through mitmproxy's layers: every mode, TLS, and whatever is unusual."""
