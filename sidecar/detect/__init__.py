"""Payloads to the spans in which a value of some kind stands."""
