"""A verdict carried out on the bytes of a message."""
