"""What people have approved in the emulated account, as its table and its configuration say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ami_lifecycle_testbed.promises.view import BUILT_FOR_TAG, DIGEST_TAG, RECIPE_TAG, RELEASE_TAG

PREFIX: Final = "decision#"


@dataclass(frozen=True)
class Approvals:
    """The gate of approvals.

    Attributes:
        pushes: environments whose builds have to be approved.
        promotions: environments whose promotions have to be.
        promoted: environments that publish what is promoted to them.
        items: all items of the table, each with DynamoDB's attributes, by their keys.
    """

    pushes: frozenset[str]
    promotions: frozenset[str]
    promoted: frozenset[str]
    items: Callable[[], Mapping[str, Mapping[str, Any]]]

    def has_passed(self, environment: str, tags: Mapping[str, str]) -> bool:
        """Whether an image with these tags has been approved, or needs no approval."""
        built = (tags.get(DIGEST_TAG), tags.get(RECIPE_TAG), None)
        promoted = (None, None, tags.get(RELEASE_TAG))
        if not (self._asks_for_builds(environment) or self._asks_for_promotions(environment)):
            return True
        approved = set(self._approved(environment))
        return (
            built in approved
            or promoted in approved
            # An image says whose disks it has: promoted ones are of another environment.
            or (BUILT_FOR_TAG in tags and not self._asks_for_promotions(environment))
            or (BUILT_FOR_TAG not in tags and not self._asks_for_builds(environment))
        )

    def waits(self, environment: str, digest: str) -> bool:
        """Whether nobody has approved a Docker image that has to be."""
        return self._asks_for_builds(environment) and all(
            digest != each for each, _, _ in self._approved(environment)
        )

    def _asks_for_builds(self, environment: str) -> bool:
        usual = self.promotions if environment in self.promoted else self.pushes
        return environment in usual | self.pushes

    def _asks_for_promotions(self, environment: str) -> bool:
        usual = self.promotions if environment in self.promoted else self.pushes
        return environment in usual | self.promotions

    def _approved(self, environment: str) -> Iterator[tuple[str | None, str | None, str | None]]:
        if environment not in self.pushes | self.promotions:
            return
        for key, item in self.items().items():
            if key.startswith(PREFIX):
                decision = json.loads(item["content"]["S"])
                subject = decision["subject"]
                if decision["approved"] and subject["environment"] == environment:
                    yield subject["digest"], subject["recipe"], subject["release"]
