"""Reverse accumulation: cotangents travel against the values."""
