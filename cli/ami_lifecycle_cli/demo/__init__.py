"""The demonstration: the life cycle of one environment in the emulated account, with the real stack."""
