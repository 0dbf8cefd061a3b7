"""One message judged: scanned, decided, masked for the record, and changed where a rule says so."""
