"""The derivative rules: one line a function, siblings beside siblings."""
