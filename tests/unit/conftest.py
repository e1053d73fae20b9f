"""How Hypothesis looks for examples while mutants are tried."""

from hypothesis import HealthCheck, settings

# `make mutants` runs the properties thousands of times: the same few examples each time, whatever the machine's load.
settings.register_profile(
    "mutants",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=20,
    suppress_health_check=list(HealthCheck),
)
