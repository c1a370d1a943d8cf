"""Feeds open pages over WebSockets: each question is answered once a beat, for all that ask it."""
