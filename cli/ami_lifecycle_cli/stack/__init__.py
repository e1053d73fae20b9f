"""What the operators' commands share: the deployed stack, its executions, and how both are shown."""
