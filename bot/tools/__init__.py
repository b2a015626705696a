"""The bot's hands: what it can do through the tool agent."""
