"""Forward accumulation: tangents travel with the values."""
