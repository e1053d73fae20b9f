"""One emulator at a time, shared by the modules that agree on its settings; an environment for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.workflows.configuration import DURATIONS, PROJECT, TIME_SCALE, write_configuration
from tests.workflows.grants import Grants
from tests.workflows.service import Environment, Service

from ami_lifecycle_testbed.emulator import Emulator

_NAMES = tuple(f"env-{number:02}" for number in range(60))
_KEEPING = {"retirement": {"keep_previous": 1}}
_LINGERING = {"publication": {"grace_period_seconds": 20}}
# Waits that are long enough to be seen by looking.
_PATIENT = {"builder": {"agent_boot_seconds": 100}, "publication": {"grace_period_seconds": 100}}
DEFAULT_ENVIRONMENTS: dict[str, Any] = {
    "prod": {},
    "keeping-one": _KEEPING,
    "keeping-two": _KEEPING,
    "keeping-three": _KEEPING,
    "lingering": _LINGERING,
    "patient": _PATIENT,
    **{name: {} for name in _NAMES},
}


def settings_of(module: ModuleType | None) -> Mapping[str, Any]:
    settings: Mapping[str, Any] = getattr(module, "SETTINGS", {})
    return settings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules with the same settings follow each other, so that an emulator serves as many as possible."""
    here = [position for position, item in enumerate(items) if item.path.parent == Path(__file__).parent]
    ordered = sorted(
        (items[position] for position in here),
        key=lambda item: str(settings_of(getattr(item, "module", None))),
    )
    for position, item in zip(here, ordered, strict=True):
        items[position] = item


class Running:
    """The emulator of this process. One at a time is enough: another setting replaces it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count()
        self._cleanup = ExitStack()
        self._settings: Mapping[str, Any] | None = None
        self.unused_names: Iterator[str] = iter(())

    def ensure(self, settings: Mapping[str, Any]) -> None:
        """Have an emulator with these settings run."""
        if settings == self._settings:
            return
        self.close()
        environments = settings.get("environments", DEFAULT_ENVIRONMENTS)
        directory = write_configuration(
            self._directory / str(next(self._numbers)),
            environments,
            settings.get("defaults"),
            settings.get("scripts"),
        )
        self.emulator = self._cleanup.enter_context(
            Emulator(
                PROJECT,
                time_scale=settings.get("time_scale", TIME_SCALE),
                durations=settings.get("durations", DURATIONS),
                config_dir=directory,
                parameters=settings.get("parameters"),
                seed=1,
            )
        )
        self.grants = Grants(self.emulator)
        self.service = Service(self.emulator.endpoint_url, self.emulator.state_machine_arn)
        self._cleanup.callback(self.service.close)
        self.service.stop_schedule()
        self.unused_names = (name for name in environments if name.startswith("env-"))
        self._settings = settings

    def close(self) -> None:
        """Stop the emulator."""
        self._settings = None
        self._cleanup.close()


@pytest.fixture(scope="session")
def running_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("configurations"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def running(running_emulator: Running, request: pytest.FixtureRequest) -> Running:
    """The emulator with what the module's SETTINGS change: environments, defaults, durations, time_scale."""
    running_emulator.ensure(settings_of(request.module))
    return running_emulator


@pytest.fixture
def service(running: Running) -> Iterator[Service]:
    """The account, without the faults of the test before.

    Whatever functions did must have been granted, and must have broken no promise.
    """
    running.service.ask("DELETE", "faults")
    running.grants.take()
    running.emulator.observers.violations.clear()
    yield running.service
    running.service.ask("DELETE", "faults")
    assert running.grants.take() == []
    assert [str(each) for each in running.emulator.observers.violations.take()] == []


@pytest.fixture
def environment(running: Running, service: Service) -> Environment:
    """An environment that no test has used yet."""
    return service.environment(next(running.unused_names))
