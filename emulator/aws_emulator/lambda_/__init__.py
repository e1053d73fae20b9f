"""The emulated Lambda: real `awslambdaric` processes against a Runtime API served here."""
