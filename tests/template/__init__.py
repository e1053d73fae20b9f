"""The house rules for template, permissions and state machine, as tests."""
