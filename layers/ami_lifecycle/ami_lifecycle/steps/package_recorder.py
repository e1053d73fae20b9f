"""Keeps what is in an image beside its history: a list for each release that history names."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from ami_lifecycle.domain.command import CommandFacts
from ami_lifecycle.domain.package_changes import package_changes
from ami_lifecycle.domain.package_list import (
    PackageList,
    dump_packages,
    load_packages,
    package_key,
    told_packages,
)
from ami_lifecycle.domain.package_summary import FACT, PackageSummary, recorded_packages
from ami_lifecycle.domain.record import Metadata
from ami_lifecycle.domain.release import release_name
from ami_lifecycle.errors import RefusedError
from ami_lifecycle.ports import PackageLists

_LOGGER = logging.getLogger(__name__)
# Of a reason, in a record that has few.
_MOST_CHARACTERS: Final = 300


@dataclass(frozen=True)
class PackageRecorder:
    """The list of one image that is published.

    The image is verified: a list that cannot be had, or that S3 refuses, is no reason not to publish it. The record
    then says why there is none.

    Attributes:
        verified: what its canary said; None where it is published again, from the list that there is.
        replaced: the record of the image that was live before.
    """

    lists: PackageLists
    metadata: Metadata
    verified: CommandFacts | None
    replaced: Metadata | None

    def described(self) -> Metadata:
        """The metadata with a summary of the list, which is read or written under its key; reads alone."""
        summary = self._summary()
        return self._with(summary) if summary is not None else self.metadata

    def keep(self, described: Metadata) -> Metadata:
        """Write the list; its record must be there already, because lists go with the records that name them.

        Returns the metadata as described, or with the reason why the list was not kept.
        """
        key, told = self._key, self._told
        if key is None or not isinstance(told, PackageList):
            return described
        try:
            self.lists.write(key, dump_packages(told))
        except RefusedError as error:
            _LOGGER.warning("the package list of %s is not kept: %s", self.metadata.ami_id, error)
            return self._with(PackageSummary(problem=str(error)[:_MOST_CHARACTERS]))
        return described

    @cached_property
    def _key(self) -> str | None:
        metadata = self.metadata
        return package_key(metadata.environment, metadata.release, metadata.image_digest)

    @cached_property
    def _told(self) -> PackageList | str | None:
        """What the canary has told, or why that is no list; None where it was not asked."""
        verified, metadata = self.verified, self.metadata
        release = release_name(metadata.release, metadata.image_digest)
        if verified is None or release is None:
            return None
        if verified.packages is None:
            return verified.packages_problem
        try:
            return told_packages(
                verified.packages,
                environment=metadata.environment,
                release=release,
                digest=metadata.image_digest,
            )
        except ValueError as error:
            return f"what the canary says cannot be read: {error}"

    def _summary(self) -> PackageSummary | None:
        told = self._told
        if isinstance(told, str):
            _LOGGER.warning("%s has no package list: %s", self.metadata.ami_id, told)
            return PackageSummary(problem=told[:_MOST_CHARACTERS])
        current, summary = told, recorded_packages(self.metadata.facts)
        if current is not None:
            summary = PackageSummary(count=len(current.packages), uri=f"s3://{self.lists.bucket}/{self._key}")
        elif summary is not None:
            current = self._kept(self.metadata)
        if summary is None:
            return None
        previous = self._kept(self.replaced) if self.replaced is not None else None
        if previous is None or current is None:
            return summary.compared(None)
        return summary.compared(package_changes(previous, current))

    def _kept(self, record: Metadata) -> PackageList | None:
        """The list that is kept of a record's release; None where there is none, or it cannot be read."""
        key = package_key(record.environment, record.release, record.image_digest)
        try:
            text = self.lists.read(key) if key is not None else None
            return load_packages(text) if text is not None else None
        except (RefusedError, ValueError) as error:
            _LOGGER.warning("%s cannot be read: %s", key, error)
            return None

    def _with(self, summary: PackageSummary) -> Metadata:
        facts = {**self.metadata.facts, FACT: summary.model_dump(exclude_none=True)}
        return self.metadata.model_copy(update={"facts": facts})
