"""Many environments at once, in an account that is full: `python -m tests.faults.load`; see `--help`.

It measures what the stack asks of the account: how long it all takes, which calls are refused for their
rate, and how close states, histories and payloads come to their limits; and before that, how many calls it takes to
retire a pile of old images. docs/dev/scaling.md has the arithmetic.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.faults.clean_up import measure_clean_up, stored_parameter
from tests.faults.world import AFTERMATH, World

from aws_emulator.gateway.calls import Call

# Step Functions developer guide, Service quotas.
HISTORY_EVENTS = 25_000
PAYLOAD_BYTES = 262_144
# What each environment is pushed in turn, so that the last one is known.
PUSH_EVERY_SECONDS = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit code is 1 when a promise was broken."""
    options = _parse(arguments)
    piles = [
        measure_clean_up(options.pile, published=published) for published in (False, True) if options.pile
    ]
    if piles:
        print(json.dumps({"clean-up": piles}, indent=2))
    if not options.environments:
        return 1 if any(pile["violations"] or pile["images left"] for pile in piles) else 0
    environments: dict[str, Any] = {f"env-{number:03}": {} for number in range(options.environments)}
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory), options.seed, environments)
        try:
            failed = any(pile["violations"] or pile["images left"] for pile in piles)
            return _run(world, list(environments), options) or int(failed)
        finally:
            world.close()


def _run(world: World, environments: list[str], options: argparse.Namespace) -> int:
    fill(world, environments, options.images, options.records)
    began, start = time.monotonic(), world.clock.elapsed()
    for environment in environments:
        world.push("r0", environment)
    for number in range(options.pushes):
        world.push(f"r{1 + number // len(environments)}", environments[number % len(environments)])
        world.pass_time(PUSH_EVERY_SECONDS)
    ended = world.settle()
    taken = world.clock.elapsed() - start
    world.pass_time(AFTERMATH)
    world.sweep()
    ended = world.settle() and ended
    world.pass_time(AFTERMATH)
    violations = world.observers.check_at_rest()
    report = {
        "environments": len(environments),
        "pushes": len(environments) + options.pushes,
        "images in the account": options.images,
        "records in the account": options.records,
        "virtual seconds": round(taken),
        "real seconds": round(time.monotonic() - began),
        **measure(world),
        "violations": [f"{each.promise}: {each.what}" for each in violations],
        "everything ended": ended,
    }
    print(json.dumps(report, indent=2))
    return 1 if violations or not ended else 0


def fill(world: World, environments: Sequence[str], images: int, records: int) -> None:
    """Put other people's images and old records of ours into the account, at once."""
    simulation = world.simulation
    for number in range(images):
        simulation.ec2.seed_image(f"somebody-elses-{number:05}", owner_id=simulation.account_id)
    # More than the standard tier holds (AWS general reference, Systems Manager quotas).
    simulation.parameter_store.most_parameters = 100_000
    for number in range(records):
        environment = environments[number % len(environments)]
        image_id = f"ami-{number:017x}"
        name = world.name(f"history/{image_id}", environment)
        content = {"ami_id": image_id, "status": "retired", "schema_version": 0}
        simulation.parameter_store.parameters[name] = stored_parameter(name, json.dumps(content), world)
    world.observers.begin()


def measure(world: World) -> dict[str, Any]:
    """What the stack asked of the account."""
    roles = world.simulation.identities
    calls = [call for call in world.simulation.calls.since() if roles.role_of(call.caller)]
    executions = world.executions()
    payloads = [
        len(str(value).encode())
        for execution in executions
        for event in execution.events
        for value in _texts(event)
    ]
    return {
        "executions": dict(Counter(execution.status for execution in executions)),
        "calls": len(calls),
        "refused": dict(
            Counter(
                f"{call.service}:{call.operation} {call.outcome}"
                for call in calls
                if "hrottl" in call.outcome or "Limit" in call.outcome or "TooMany" in call.outcome
            )
        ),
        "most calls in a second": dict(_peaks(calls).most_common(12)),
        "most history events": f"{max(len(each.events) for each in executions)} of {HISTORY_EVENTS}",
        "largest payload in bytes": f"{max(payloads)} of {PAYLOAD_BYTES}",
    }


def _peaks(calls: Iterable[Call]) -> Counter[str]:
    seconds = Counter((f"{call.service}:{call.operation}", call.time[:19]) for call in calls)
    peaks: Counter[str] = Counter()
    for (name, _), count in seconds.items():
        peaks[name] = max(peaks[name], count)
    return peaks


def _texts(event: Mapping[str, Any]) -> list[str]:
    return [
        value
        for details in event.values()
        if isinstance(details, Mapping)
        for key, value in details.items()
        if key in {"input", "output", "parameters"} and isinstance(value, str)
    ]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.load", description=__doc__)
    parser.add_argument("--environments", type=int, default=200, help="how many build at once; 0 for none")
    parser.add_argument("--pile", type=int, default=200, help="old images of one environment; 0 for none")
    parser.add_argument("--pushes", type=int, default=1000, help="how many more pushes come meanwhile")
    parser.add_argument("--images", type=int, default=10_000, help="other images in the account")
    parser.add_argument("--records", type=int, default=50_000, help="history records in the account")
    parser.add_argument("--seed", type=int, default=0, help="latencies and jitter follow it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
