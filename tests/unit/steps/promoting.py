"""An account in which prod publishes what is promoted to it from dev."""

from __future__ import annotations

from typing import Any

from tests.unit.steps.account import Account, an_image, catalogue

from ami_lifecycle.domain.model import TAG_BUILT_FOR, TAG_DIGEST, TAG_RELEASE, Image
from ami_lifecycle.domain.release import release_of

NAMES = {"dev": "comfyui-multitenant-dev", "prod": "comfyui-multitenant-prod"}


def promoting(*, dev: Any = None, prod: Any = None, **defaults: Any) -> Account:
    """The account, seen from prod.

    Args:
        dev: settings of dev.
        prod: settings of prod beside that it publishes promotions.
    """
    account = Account(defaults)
    account.catalogue = catalogue(
        environments={"dev": dev or {}, "prod": {"publishes": "promotions"} | (prod or {})},
        defaults={"publication": {"grace_period_seconds": 0}} | defaults,
    )
    return account


def of_dev(number: int, *, digest: str, **changes: Any) -> Image:
    """An image of dev under its constant name, as an execution of its own has built it."""
    execution = f"dev-{number}"
    image = an_image(
        number, name=NAMES["dev"], environment="dev", digest=digest, execution=execution, **changes
    )
    return image.model_copy(update={"tags": {**image.tags, TAG_RELEASE: str(release_of(image))}})


def promoted(number: int, source: Image, **changes: Any) -> Image:
    """An image of prod that was promoted from one of dev."""
    return an_image(
        number,
        name=NAMES["prod"],
        digest=source.tags[TAG_DIGEST],
        execution=f"prod-{number}",
        snapshot_ids=source.snapshot_ids,
        tags={TAG_RELEASE: str(release_of(source)), TAG_BUILT_FOR: "dev"},
        **changes,
    )
