"""Who may come in, and what they may do: users, sessions, tokens, and the guard in front of pages and API.

Import from its modules: the settings are read by every role, the guard loaded only where it stands.
"""
