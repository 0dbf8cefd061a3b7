"""Servers over stdio: the socket on which wrap processes ask, and one session for each of them."""
