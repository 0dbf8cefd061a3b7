"""Sockets, pipes and mitmproxy: the only place that touches traffic."""
