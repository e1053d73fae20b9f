"""The whole stack on this machine: emulated AWS, the real template, state machine and handlers."""
