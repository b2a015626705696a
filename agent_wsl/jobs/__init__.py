"""Commands: approval, start, output, limits, end."""
