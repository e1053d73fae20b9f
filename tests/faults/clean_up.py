"""What it costs to clean up after many builds: calls for each image that goes.

An environment has many images that nobody uses any more, as after a long time in which the retirement was refused.
It is retired to its end, and the calls of the stack's roles are counted.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.faults.world import PROD, World

from ami_lifecycle.domain.publication import dump, history_of, load
from ami_lifecycle.domain.record import Metadata, RecordStatus
from aws_emulator.ec2.model import Image
from aws_emulator.ssm.parameters import Parameter, Version

# A pile that takes several invocations needs as many attempts; each sweep starts the work again.
_SWEEPS = 12


def measure_clean_up(images: int, *, published: bool) -> dict[str, Any]:
    """Retire this many images of one environment; what it took.

    Args:
        published: whether each image has a history record.
    """
    with tempfile.TemporaryDirectory() as place:
        world = World(Path(place), environments={PROD: {}})
        try:
            return _measure(world, images, published=published)
        finally:
            world.close()


def _measure(world: World, images: int, *, published: bool) -> dict[str, Any]:
    world.push("one")
    world.settle()
    world.pass_time(600)
    pile_up(world, images, published=published)
    start = world.simulation.calls.since()[-1].number
    virtual, before = world.clock.elapsed(), len(world.executions())
    sweeps = 0
    while len(world.images()) > 1 and sweeps < _SWEEPS:
        sweeps += 1
        world.sweep()
        world.settle()
        world.pass_time(900)
    roles = world.simulation.identities
    calls = [call for call in world.simulation.calls.since(start) if roles.role_of(call.caller)]
    counted = Counter(f"{call.service}:{call.operation}" for call in calls)
    ec2 = world.simulation.ec2
    used = {
        each for image in ec2.images.values() if image.state != "deregistered" for each in image.snapshot_ids
    }
    return {
        "images": images,
        "with history records": published,
        "images left": len(world.images()) - 1,
        "snapshots left": len(ec2.snapshots.keys() - used),
        "sweeps": sweeps,
        "virtual seconds": round(world.clock.elapsed() - virtual),
        "executions": dict(Counter(each.status for each in world.executions()[before:])),
        "attempts": sum(
            event["type"] == "LambdaFunctionScheduled" and "RetireImages" in str(event)
            for each in world.executions()[before:]
            for event in each.events
        ),
        "calls": len(calls),
        "calls an image": round(len(calls) / images, 2),
        "most calls": dict(counted.most_common(12)),
        "violations": [f"{each.promise}: {each.what}" for each in world.observers.check_at_rest()],
    }


def pile_up(world: World, images: int, *, published: bool) -> list[str]:
    """Put images of the environment into the account, as earlier executions have left them."""
    (live,) = world.images()
    metadata = load(
        Metadata, world.simulation.parameter_store.parameters[world.name("metadata")].latest.value
    )
    assert metadata is not None
    with world.simulation.ec2.lock:
        made = [_add(world, live, number) for number in range(images)]
    if published:
        for image_id in made:
            record = history_of(
                metadata.model_copy(update={"ami_id": image_id, "workflow_run_number": "0"}),
                RecordStatus.SUPERSEDED,
                "replaced",
                world.clock.now(),
                live.image_id,
                published_by=None,
            )
            name = world.name(f"history/{image_id}")
            world.simulation.parameter_store.parameters[name] = stored_parameter(name, dump(record), world)
    world.observers.begin()
    return made


def _add(world: World, live: Image, number: int) -> str:
    ec2 = world.simulation.ec2
    name = f"{live.tags['Name']}.candidate.{number:05}"
    tags = {**live.tags, "ami-lifecycle:image-digest": f"sha256:{number:064x}"}
    tags.pop("ami-lifecycle:execution", None)
    image_id = ec2.seed_image(name, owner_id=ec2.account_id, public=False, root_gib=8)
    image = ec2.images[image_id]
    image.launch_permissions = []
    image.tags = tags
    image.created = world.clock.now() - timedelta(days=30 + number)
    (snapshot_id,) = image.snapshot_ids
    snapshot = ec2.snapshots[snapshot_id]
    snapshot.tags = dict(tags)
    snapshot.description = f"Created by CreateImage(i-0123456789abcdef0) for {image_id}"
    return image_id


def stored_parameter(name: str, value: str, world: World) -> Parameter:
    """A text parameter as a person would have put it."""
    version = Version(
        number=1,
        value=value,
        kind="String",
        data_type="text",
        tier="Standard",
        modified=world.clock.now(),
        user="arn:aws:iam::123456789012:user/operator",
    )
    return Parameter(name=name, versions=[version], issued=1)
