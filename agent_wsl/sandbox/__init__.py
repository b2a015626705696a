"""What confines a command, and the proof that it does."""
