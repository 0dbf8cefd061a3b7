"""Bytes in and bytes out. A folder for each transport; what the HTTP transports share stands beside them."""
