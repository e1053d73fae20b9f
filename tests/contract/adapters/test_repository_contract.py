from __future__ import annotations

import pytest
from tests.contract.adapters.rig import Rig

from ami_lifecycle.domain.scans import NO_SCAN, NOT_IN_REPOSITORY
from ami_lifecycle.errors import RepositoryNotFoundError

NO_DIGEST = "sha256:" + "0" * 64


def test_a_repository_has_the_uri_that_docker_pulls_from(rig: Rig) -> None:
    uri = rig.repository.uri(rig.repository_name)
    assert uri == f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{rig.repository_name}"


def test_a_tag_names_the_digest_that_was_pushed(rig: Rig) -> None:
    digest = rig.push(rig.name, f"{rig.name}-first")
    assert rig.repository.digest_of(rig.repository_name, rig.name) == digest
    assert rig.repository.has_digest(rig.repository_name, digest)


def test_a_tag_that_moves_on_leaves_the_old_digest_behind(rig: Rig) -> None:
    old = rig.push(rig.name, f"{rig.name}-first")
    new = rig.push(rig.name, f"{rig.name}-second")
    assert rig.repository.digest_of(rig.repository_name, rig.name) == new
    assert rig.repository.has_digest(rig.repository_name, old)


def test_a_tag_or_digest_that_is_not_there_is_not_found(rig: Rig) -> None:
    assert rig.repository.digest_of(rig.repository_name, f"{rig.name}-missing") is None
    assert not rig.repository.has_digest(rig.repository_name, NO_DIGEST)


def test_a_digest_is_described_with_its_manifest(rig: Rig) -> None:
    digest = rig.push(rig.name, f"{rig.name}-first")
    described = rig.repository.describe(rig.repository_name, digest)
    manifest = rig.repository.manifest(rig.repository_name, digest)
    assert described is not None
    assert (described.digest, described.is_archived) == (digest, False)
    assert manifest is not None
    assert (manifest.is_index, manifest.other_than_image) == (False, None)
    assert rig.repository.describe(rig.repository_name, NO_DIGEST) is None
    assert rig.repository.manifest(rig.repository_name, NO_DIGEST) is None


def test_what_nobody_has_scanned_has_no_scan(rig: Rig) -> None:
    digest = rig.push(rig.name, f"{rig.name}-first")
    assert rig.repository.scan(rig.repository_name, digest) == NO_SCAN
    assert rig.repository.scan(rig.repository_name, NO_DIGEST) == NOT_IN_REPOSITORY


def test_a_repository_that_does_not_exist_is_an_error(rig: Rig) -> None:
    with pytest.raises(RepositoryNotFoundError, match="no-such-repository"):
        rig.repository.uri("no-such-repository")
    with pytest.raises(RepositoryNotFoundError, match="no-such-repository"):
        rig.repository.digest_of("no-such-repository", "prod-latest")
    with pytest.raises(RepositoryNotFoundError, match="no-such-repository"):
        rig.repository.has_digest("no-such-repository", NO_DIGEST)
    with pytest.raises(RepositoryNotFoundError, match="no-such-repository"):
        rig.repository.describe("no-such-repository", NO_DIGEST)
    with pytest.raises(RepositoryNotFoundError, match="no-such-repository"):
        rig.repository.manifest("no-such-repository", NO_DIGEST)
    with pytest.raises(RepositoryNotFoundError, match="no-such-repository"):
        rig.repository.scan("no-such-repository", NO_DIGEST)
