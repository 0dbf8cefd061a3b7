"""What happens to a request and its response: read, judged, acted on, recorded, whatever transport brought them."""
