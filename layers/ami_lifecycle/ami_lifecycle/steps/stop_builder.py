"""Stop Builder: a stopped instance gives a consistent image, and costs nothing during the snapshot."""

from __future__ import annotations

from ami_lifecycle.domain.execution import InstanceInput
from ami_lifecycle.ports import Instances


def stop_builder(step: InstanceInput, instances: Instances) -> None:
    """Begin to stop the builder; repeating it changes nothing."""
    instances.stop(step.instance_id)
