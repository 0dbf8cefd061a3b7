"""Kinds of data that policy files define, and secrets that are registered: patterns, words, lists."""
