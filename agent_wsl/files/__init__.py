"""What can be read: confinement, pages of text, search."""
