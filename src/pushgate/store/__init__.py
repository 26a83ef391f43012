"""Where histories live: one implementation of the log port per ``store: {kind: …}``."""
