"""Stop Builder: an image of a stopped instance is consistent, and the instance costs nothing during the snapshot."""

from __future__ import annotations

from ami_lifecycle.domain.execution import InstanceInput
from ami_lifecycle.ports import Instances


def stop_builder(step: InstanceInput, instances: Instances) -> None:
    """Stop the builder, without waiting. Idempotent."""
    instances.stop(step.instance_id)
