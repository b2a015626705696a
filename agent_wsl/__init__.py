"""The tool agent: reads, watches and runs inside the allowed directories, for whoever holds the API key."""
