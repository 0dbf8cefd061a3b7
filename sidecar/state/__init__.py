"""Which states an exchange, its stream and its calls can be in, and what leads from one to the next."""
