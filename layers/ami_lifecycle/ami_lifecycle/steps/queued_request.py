"""The request that waits for an environment, started once nobody holds the environment."""

from __future__ import annotations

from ami_lifecycle.domain.environment import EnvironmentRecord
from ami_lifecycle.domain.naming import execution_name
from ami_lifecycle.ports import Environments, Executions


def start_queued_request(
    record: EnvironmentRecord, environments: Environments, executions: Executions, state_machine_arn: str
) -> str | None:
    """Start the request that was queued; returns the execution's ARN, or None when there is nothing to do.

    The request is forgotten after the start, and the execution's name is derived from the request and its
    number, so a crash between the two neither loses it nor starts it twice, even when the execution has been and
    gone.
    """
    if record.queued_request is None or record.claim is not None:
        return None
    name = execution_name(
        record.environment,
        "queued",
        str(record.revision),
        record.queued_request.model_dump_json(exclude_none=True),
    )
    started = executions.start(state_machine_arn, name, record.queued_request)
    environments.clear_queued_request(record.environment, revision=record.revision)
    return started
