"""The emulated account in virtual time: one process, one thread at a time, the same run for the same seed."""
