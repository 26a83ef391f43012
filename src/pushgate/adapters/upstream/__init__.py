"""The side that faces the backends."""
