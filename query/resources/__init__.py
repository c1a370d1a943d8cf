"""The questions about containers and processes: what they use, whose they are, and whether a service is short of it."""
