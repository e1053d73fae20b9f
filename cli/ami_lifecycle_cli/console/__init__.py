"""Shared by all commands: options, connections, output."""
