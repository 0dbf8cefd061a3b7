"""Bytes in and bytes out. A folder for each way; what every HTTP way shares stands beside them."""
