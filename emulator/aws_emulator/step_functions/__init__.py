"""The emulated Step Functions: Standard workflows of the Amazon States Language with JSONPath."""
