"""How Hypothesis looks for examples while mutants are tried, and what the garbage collector looks at."""

import gc

import pytest
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

# How long an example takes says more of the machine's load than of the code.
settings.register_profile("patient", deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    """Give properties the time that they need, unless a profile is asked for."""
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile("patient")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Spare the garbage collector what lives to the end: modules, models and tests, a hundred thousand objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
