"""Engines: graphs lowered to compiled loops."""
