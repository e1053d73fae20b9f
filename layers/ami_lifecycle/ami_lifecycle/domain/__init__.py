"""Decisions: the standard library and pydantic only. Time and randomness are arguments."""
