"""What strangers may try on a server, kept as data, and what the server must answer."""
