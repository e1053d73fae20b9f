"""Shared by the commands that work on a stack: the deployed stack, its executions, and their display."""
