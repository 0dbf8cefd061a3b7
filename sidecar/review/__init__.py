"""Every read that a person makes of the record, as functions over a ClickHouse client; others only lay out."""
