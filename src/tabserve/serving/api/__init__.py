"""An HTTP API of one's own around one model: its routes, documents, metrics and process."""
