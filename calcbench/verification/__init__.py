"""Checking a gradient of a black-box function against references that carry an error bound."""
