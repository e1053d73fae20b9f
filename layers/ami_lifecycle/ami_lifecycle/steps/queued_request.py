"""Starting the queued request of an environment once its claim is released."""

from __future__ import annotations

from ami_lifecycle.domain.environment import EnvironmentRecord
from ami_lifecycle.domain.naming import QUEUED, execution_name
from ami_lifecycle.ports import Environments, Executions


def start_queued_request(
    record: EnvironmentRecord, environments: Environments, executions: Executions, state_machine_arn: str
) -> str | None:
    """Start the queued request; returns the execution's ARN, or None when nothing is queued or the environment is
    held.

    The request is removed after the start, and the execution's name is derived from the request and its revision, so
    a crash in between neither loses it nor starts it twice, even if that execution has already ended.
    """
    if record.queued_request is None or record.claim is not None:
        return None
    name = execution_name(
        record.environment,
        QUEUED,
        str(record.revision),
        record.queued_request.model_dump_json(exclude_none=True),
    )
    started = executions.start(state_machine_arn, name, record.queued_request)
    environments.clear_queued_request(record.environment, revision=record.revision)
    return started
