"""Doubles of the backends that the recipes in examples/recipes are for: they behave as the real ones do when asked."""
