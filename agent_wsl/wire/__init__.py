"""Who gets in, and what RPyC may do."""
