"""``sidecar wrap``: a server over stdio, with the proxy asked about every line. Standard library only, and light."""
