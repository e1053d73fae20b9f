"""The emulated account with this service deployed; it is `ami_lifecycle_testbed.emulator`."""

from ami_lifecycle_testbed.emulator import Emulator

__all__ = ["Emulator"]
