"""What changes: directories and logs, kernel events or looking again and again."""
