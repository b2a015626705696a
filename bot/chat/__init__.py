"""Everything Discord. Importing a module of this room is cheap, except `commands`, which imports py-cord."""
