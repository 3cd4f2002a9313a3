"""Scalar derivatives of texts, step by step and checked; answers decided."""
