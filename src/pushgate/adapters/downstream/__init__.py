"""The side that faces the clients: one URL, four behaviours."""
