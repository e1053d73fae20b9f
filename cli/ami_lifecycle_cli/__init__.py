"""The `ami-lifecycle` command."""
