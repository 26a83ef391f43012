"""How answers become JSON values: one module per format."""
