"""What a pile of old images costs to remove: two calls for each, and pages."""

from __future__ import annotations

import json

from tests.faults.clean_up import measure_clean_up
from tests.faults.runner import run_forked

IMAGES = 30
# What a sweep and an execution cost, however many images there are.
FIXED = 110


def test_an_old_image_costs_its_last_look_and_its_removal() -> None:
    found = json.loads(run_forked(lambda: json.dumps(measure_clean_up(IMAGES, published=False))))
    assert (found["images left"], found["snapshots left"], found["violations"]) == (0, 0, [])
    for_each = {name: count for name, count in found["most calls"].items() if count >= IMAGES}
    # The live image is looked at as well.
    assert for_each == {"ec2:DeregisterImage": IMAGES, "ec2:DescribeImageAttribute": IMAGES + 1}
    assert found["calls"] < 2 * IMAGES + FIXED
