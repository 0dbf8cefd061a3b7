"""Findings told to people as they happen."""
