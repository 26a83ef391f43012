"""A client of a gateway, over any of its transports: what ``tools.following`` decides, done."""
