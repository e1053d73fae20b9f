"""The demonstration: the life of one environment, on the embedded emulator, through the real stack."""
