"""Measures of what a model does; they only read models and data."""
