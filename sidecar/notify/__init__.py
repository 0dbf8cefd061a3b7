"""Alerts: which findings are sent to people, and how they are delivered."""
