"""Channels: how notifications reach people, by webhook or through Apprise, and what may be reached at all."""
