"""Models and turn logic between sound and words. No Discord, no language model."""
