"""``sidecar wrap``: a server over stdio, whose every line the proxy judges. Standard library only, so that it starts fast."""
