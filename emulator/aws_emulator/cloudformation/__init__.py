"""Deploys a SAM template into the emulated account, as `sam deploy` does into a real one."""
