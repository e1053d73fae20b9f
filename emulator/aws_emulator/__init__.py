"""An emulated AWS account on this machine, with the real template, state machine and handlers."""
