"""Sidetone's bot: hears, thinks and speaks, in one process."""
