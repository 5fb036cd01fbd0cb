"""The server: models behind HTTP, with keys, queues and records."""
