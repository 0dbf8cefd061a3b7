"""Every call, kept: outbox, shipper, store and the read-only endpoint."""
