from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.aws_clients import Stub, stubbed_clients


@pytest.fixture
def stub() -> Iterator[Stub]:
    """See `stubbed_clients`."""
    with stubbed_clients() as make:
        yield make
