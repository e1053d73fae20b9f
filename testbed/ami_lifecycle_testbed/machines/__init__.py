"""Builders and canaries as real machines."""
