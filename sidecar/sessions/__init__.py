"""What is remembered between exchanges: who a session is, which calls are open, what continues what."""
