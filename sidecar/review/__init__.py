"""Queries on the record for people, as functions over a ClickHouse client, and the commands that show the results."""
