"""The emulated account that commands start. It is slow to import, and needs the extra `emulator`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ami_lifecycle.errors import InputError
from ami_lifecycle_testbed.durations import BuildDurations
from ami_lifecycle_testbed.emulator import Emulator
from aws_emulator.cloudformation.template import TemplateError
from aws_emulator.durations import DurationsError
from aws_emulator.gateway.http_server import PortInUseError
from aws_emulator.machines.errors import ProvisioningError


class EmulatorNotStartedError(InputError):
    """The emulator could not be started with what was given."""


@contextmanager
def started(
    project: Path, *, durations: Path | None = None, faults: Path | None = None, **settings: Any
) -> Iterator[Emulator]:
    """The account, served until the block ends.

    Args:
        durations, faults: files to load.
        settings: those of `Emulator`.

    Raises:
        EmulatorNotStartedError: something of it keeps the emulator from starting.
    """
    with ExitStack() as stack:
        try:
            loaded = BuildDurations.load(durations) if durations else None
            emulator = stack.enter_context(Emulator(project, durations=loaded, **settings))
            if faults is not None:
                emulator.faults.load(faults)
        except PortInUseError as error:
            raise EmulatorNotStartedError(str(error.strerror)) from error
        except (TemplateError, DurationsError, ProvisioningError, ValueError) as error:
            raise EmulatorNotStartedError(str(error)) from error
        yield emulator
