"""Published records: every key of the schema, in at most 4,096 characters, readable again."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.json_contract import METADATA_KEYS
from tests.unit.domain.builders import DIGEST, NOW, a_request, an_image, image_id, settings

from ami_lifecycle.domain.command import CommandFacts
from ami_lifecycle.domain.first_boot import FirstBoot
from ami_lifecycle.domain.hook_documents import program_of
from ami_lifecycle.domain.model import (
    TAG_BASE,
    TAG_BASE_CREATED,
    TAG_BASE_IMAGE,
    TAG_DIGEST,
    TAG_EXECUTION,
    TAG_GENERATION,
    TAG_RECIPE,
    TAG_RELEASE,
    BlockDevice,
    Image,
)
from ami_lifecycle.domain.plan import Base, BuildMode, BuildPlan, Promotion, Source
from ami_lifecycle.domain.publication import (
    dump,
    history_of,
    load,
    metadata_from,
    metadata_from_tags,
    metadata_of,
    metadata_of_promotion,
    timestamp,
)
from ami_lifecycle.domain.recipe import named_hooks
from ami_lifecycle.domain.record import HistoryRecord, Metadata, RecordStatus
from ami_lifecycle.domain.registration import registration_of
from ami_lifecycle.domain.request import Action, Trigger

OUR_KEYS = {
    "image_digest",
    "base_ami_id",
    "build_mode",
    "generation",
    "verified_at",
    "snapshot_ids",
    "replaces",
    "reason",
    "schema_version",
}
FIRST_BOOT = FirstBoot(
    initialization_rate=300,
    data_bytes=30,
    initialization_seconds=20,
    cents_per_launch=3.6,
    launches_at_once=16,
)
WORDS = st.text(max_size=6_000)
LABELS = st.dictionaries(
    st.text(max_size=300)
    | st.sampled_from([f"org.opencontainers.image.{x}" for x in ("revision", "ref.name")]),
    WORDS,
    max_size=6,
)


def a_plan(**request: Any) -> BuildPlan:
    return BuildPlan(
        action=Action.BUILD,
        trigger=Trigger.PUSH,
        environment="prod",
        reasons=("update from the environment's own image",),
        settings=settings(),
        source=Source(repository_uri="registry/comfyui", digest=DIGEST, tag="prod-latest"),
        mode=BuildMode.UPDATE,
        request=a_request(**request),
    )


def provisioned(**facts: Any) -> CommandFacts:
    return CommandFacts.model_validate({"kind": "provision", "image_digest": DIGEST} | facts)


def a_metadata(
    facts: CommandFacts | None = None,
    plan: BuildPlan | None = None,
    verified: CommandFacts | None = None,
    **changes: Any,
) -> Metadata:
    made = metadata_of(
        plan or a_plan(),
        an_image(1),
        region="us-east-1",
        number=42,
        replaces=image_id(2),
        provisioned=facts,
        verified_at=timestamp(NOW),
        verified=verified,
        run_name="run-1",
    )
    return made.model_copy(update=changes)


def test_the_schema_that_consumers_know_is_kept_key_for_key() -> None:
    labels = {
        "ami-lifecycle.commit": "abc123def456",
        "ami-lifecycle.branch": "main",
        "org.opencontainers.image.revision": "of the base image",
        "org.opencontainers.image.ref.name": "ubuntu",
    }
    written = json.loads(dump(a_metadata(provisioned(image_labels=labels))))
    assert {key: written[key] for key in METADATA_KEYS} == {
        "ami_id": image_id(1),
        "docker_image": "registry/comfyui:prod-latest",
        "environment": "prod",
        "creation_date": "2026-01-15T12:00:00Z",
        "branch": "main",
        "commit_sha": "abc123def456",
        "region": "us-east-1",
        "workflow_run_id": "run-1",
        "workflow_run_number": "42",
    }
    assert written.keys() >= OUR_KEYS


def test_what_the_caller_says_goes_before_the_images_labels() -> None:
    labels = {"ami-lifecycle.commit": "label", "ami-lifecycle.branch": "label"}
    plan = a_plan(branch="caller", commit_sha="cafe", workflow_run_id="77")
    metadata = a_metadata(provisioned(image_labels=labels), plan)
    assert (metadata.branch, metadata.commit_sha, metadata.workflow_run_id) == ("caller", "cafe", "77")


def test_what_a_base_image_hands_down_is_not_the_callers() -> None:
    """Every image FROM ubuntu has these labels, unless it sets its own."""
    labels = {
        "maintainer": "nobody",
        "org.opencontainers.image.ref.name": "ubuntu",
        "org.opencontainers.image.version": "22.04",
        "org.opencontainers.image.revision": "0123456789abcdef",
        "ami-lifecycle.branch": "",
    }
    metadata = a_metadata(provisioned(image_labels=labels))
    assert (metadata.branch, metadata.commit_sha) == (None, None)


def test_what_nobody_says_is_null() -> None:
    written = json.loads(dump(a_metadata()))
    assert (written["branch"], written["commit_sha"]) == (None, None)


@given(LABELS, st.dictionaries(st.text(max_size=20), WORDS, max_size=4), WORDS, WORDS, st.integers(0, 60))
def test_a_record_fits_a_standard_parameter_whatever_is_in_it(
    labels: dict[str, str], os: dict[str, str], reason: str, docker_version: str, disks: int
) -> None:
    facts = provisioned(image_labels=labels, os=os, docker_version=docker_version)
    metadata = a_metadata(
        facts, reason=reason, snapshot_ids=tuple(f"snap-{number:017x}" for number in range(disks))
    )
    for record in (metadata, history_of(metadata, RecordStatus.SUPERSEDED, reason, NOW, image_id(3))):
        text = dump(record)
        assert len(text) <= 4_096
        assert len(text.encode()) == len(text)
        written = json.loads(text)
        assert written.keys() >= METADATA_KEYS | OUR_KEYS
        assert (written["ami_id"], written["image_digest"]) == (image_id(1), DIGEST)
        assert written["docker_image"] == "registry/comfyui:prod-latest"
        assert load(type(record), text) is not None


@pytest.mark.parametrize("character", ["x", "語", "\N{ROCKET}", '"', "\n"])
def test_a_record_full_of_the_longest_words_fits(character: str) -> None:
    long = character * 4_096
    changes: dict[str, Any] = {
        "branch": long,
        "commit_sha": long,
        "workflow_run_id": long,
        "reason": long,
        "docker_image": long,
        "replaces": long,
        "region": long,
        "base_created": long,
        "gates": {
            "approval": {"id": "prod-0123456789ab", "by": character * 200, "at": "2026-01-15T12:00:00Z"},
            "scan": {"digest": DIGEST, "scanner": "enhanced", "waived": ["GHSA-0123-4567-89ab"] * 20},
        },
    }
    record = history_of(a_metadata(**changes), RecordStatus.KEPT, long, NOW, long)
    assert len(dump(record)) <= 4_096
    assert json.loads(dump(record))["ami_id"] == image_id(1)


@pytest.mark.parametrize(("disks", "is_kept"), [(8, True), (20, False), (40, False)])
def test_an_image_of_many_disks_has_a_record_that_fits(disks: int, is_kept: bool) -> None:
    """It then does not say how the disks are registered again, and still which they are, where that fits."""
    image = an_image(
        1,
        architecture="x86_64",
        block_devices=tuple(
            BlockDevice(
                device_name=f"/dev/xvd{number:02}",
                snapshot_id=f"snap-{number:017x}",
                volume_type="gp3",
                volume_size=100,
                iops=3_000,
                throughput=125,
                delete_on_termination=True,
                encrypted=True,
            )
            for number in range(disks)
        ),
    )
    metadata = a_metadata(snapshot_ids=image.snapshot_ids)
    known = registration_of(image)
    text = dump(history_of(metadata, RecordStatus.LIVE, "published", NOW, registration=known))
    assert len(text) <= 4_096
    written = json.loads(text)
    assert written["registration"] == (known if is_kept else None)
    assert tuple(written["snapshot_ids"]) == image.snapshot_ids


def test_facts_that_fit_are_kept_and_the_largest_goes_first() -> None:
    facts = provisioned(image_labels={"big": "x" * 5_000}, kernel="6.8", os={"VERSION_ID": "22.04"})
    written = json.loads(dump(a_metadata(facts)))
    assert written["facts"] == {"kernel": "6.8", "os": {"VERSION_ID": "22.04"}}


def test_words_are_cut_before_ids_are_dropped() -> None:
    written = json.loads(dump(a_metadata(reason="x" * 5_000, snapshot_ids=("snap-1",))))
    assert written["snapshot_ids"] == ["snap-1"]
    assert written["reason"].startswith("xxx")


@pytest.mark.parametrize("text", [None, "", "{", "[]", "5", "null", '{"ami_id": "ami-1"}', "ami-0123"])
def test_a_record_that_cannot_be_read_is_none(text: str | None) -> None:
    assert load(Metadata, text) is None


@given(st.text())
def test_any_text_is_read_as_nothing_or_a_record(text: str) -> None:
    assert load(HistoryRecord, text) is None


def test_a_record_of_a_later_schema_is_read_for_what_is_known() -> None:
    later = json.loads(dump(a_metadata())) | {"schema_version": 2, "new": {"deep": True}}
    read = load(Metadata, json.dumps(later))
    assert read is not None
    assert read.schema_version == 2


def test_metadata_that_an_older_workflow_wrote_lacks_our_keys_and_is_not_read_as_ours() -> None:
    older = dict.fromkeys(METADATA_KEYS, "x") | {"ami_id": image_id(1)}
    assert load(Metadata, json.dumps(older)) is None


def test_publishing_again_keeps_what_is_known_of_the_image() -> None:
    record = history_of(a_metadata(), RecordStatus.SUPERSEDED, "replaced", NOW, image_id(3))
    again = metadata_from(record, number=50, replaces=image_id(3), reason="rollback")
    assert again == a_metadata(workflow_run_number="50", replaces=image_id(3), reason="rollback")


def test_an_image_without_a_record_says_what_its_tags_say() -> None:
    image = an_image(1, tags={TAG_GENERATION: "many"}, creation_date=None)
    metadata = metadata_from_tags(image, "prod", "us-east-1", "repaired")
    assert (metadata.generation, metadata.creation_date, metadata.image_digest) == (1, "", "")
    assert load(Metadata, dump(metadata)) == metadata


@given(st.datetimes(min_value=datetime(1000, 1, 1)))  # noqa: DTZ001 - the zone is not written
def test_a_date_is_written_as_the_schema_shows_it(moment: datetime) -> None:
    assert datetime.strptime(timestamp(moment), "%Y-%m-%dT%H:%M:%SZ") == moment.replace(microsecond=0)  # noqa: DTZ007 - as above


def test_an_image_that_is_known_by_its_tags_alone_is_described_by_them() -> None:
    tags = {
        TAG_GENERATION: "4",
        TAG_BASE_CREATED: "2025-12-01T00:00:00Z",
        TAG_DIGEST: DIGEST,
        TAG_EXECUTION: "arn:maker",
        TAG_RECIPE: "provision:0123456789ab",
        TAG_BASE: "debian-12",
        TAG_BASE_IMAGE: image_id(8),
        "docker_image": "registry/comfyui:v1",
    }
    assert metadata_from_tags(an_image(1, tags=tags), "prod", "us-east-1", "repaired") == Metadata(
        ami_id=image_id(1),
        docker_image="registry/comfyui:v1",
        environment="prod",
        creation_date="2026-01-15T12:00:00Z",
        branch=None,
        commit_sha=None,
        region="us-east-1",
        workflow_run_id="",
        workflow_run_number="0",
        image_digest=DIGEST,
        generation=4,
        base_created="2025-12-01T00:00:00Z",
        release="arn:maker",
        recipe="provision:0123456789ab",
        base_setting="debian-12",
        original_ami_id=image_id(8),
        snapshot_ids=an_image(1).snapshot_ids,
        reason="repaired",
    )


def test_an_image_without_tags_is_described_all_the_same() -> None:
    metadata = metadata_from_tags(an_image(1, tags={}), "prod", "us-east-1", "")
    assert (metadata.docker_image, metadata.image_digest, metadata.generation) == ("", "", 1)


@pytest.mark.parametrize("length", [400, 401, 5_000])
def test_a_reason_is_kept_in_four_hundred_characters(length: int) -> None:
    record = history_of(a_metadata(), RecordStatus.SUPERSEDED, "replaced", NOW)
    again = metadata_from(record, number=1, replaces=None, reason="x" * length)
    assert again.reason == "x" * 400
    long = a_plan().model_copy(update={"reasons": ("y" * length, "z")})
    assert a_metadata(plan=long).reason == f"{'y' * length}; z"[:400]
    assert history_of(again, RecordStatus.KEPT, "w" * length, NOW).status_reason == "w" * 300


def test_a_built_image_is_described_with_all_that_the_build_knows() -> None:
    plan = a_plan(branch="main").model_copy(
        update={
            "base": Base(
                image_id=image_id(7),
                root_device_name="/dev/sda1",
                created=NOW,
                setting="debian-12",
                original_id=image_id(8),
            ),
            "generation": 5,
            "reasons": ("a new digest", "an update"),
        }
    )
    verified = CommandFacts.model_validate(
        {
            "kind": "verify",
            "image_digest": DIGEST,
            "kernel": "of the canary",
            "boot_to_healthy_seconds": 41.5,
            "first_read_seconds": 12.5,
        }
    )
    facts = provisioned(
        image_size_bytes=7, os={"VERSION_ID": "22.04"}, kernel="6.8", docker_version="28", free_bytes=9
    )
    assert json.loads(dump(a_metadata(facts, plan, verified))) == {
        "ami_id": image_id(1),
        "docker_image": "registry/comfyui:prod-latest",
        "environment": "prod",
        "creation_date": "2026-01-15T12:00:00Z",
        "branch": "main",
        "commit_sha": None,
        "region": "us-east-1",
        "workflow_run_id": "run-1",
        "workflow_run_number": "42",
        "image_digest": DIGEST,
        "base_ami_id": image_id(7),
        "build_mode": "update",
        "generation": 5,
        "base_created": "2026-01-15T12:00:00Z",
        "release": None,
        "promoted_from": None,
        "container": "44136fa355b3",
        "recipe": None,
        "base_setting": "debian-12",
        "original_ami_id": image_id(8),
        "verified_at": "2026-01-15T12:00:00Z",
        "snapshot_ids": list(an_image(1).snapshot_ids),
        "replaces": image_id(2),
        "reason": "a new digest; an update",
        "gates": {},
        "facts": {
            "image_size_bytes": 7,
            "os": {"VERSION_ID": "22.04"},
            "kernel": "6.8",
            "docker_version": "28",
            "free_bytes": 9,
            "boot_to_healthy_seconds": 41.5,
            "first_read_seconds": 12.5,
        },
        "schema_version": 1,
    }


def test_an_image_of_which_little_is_known_is_described_by_that() -> None:
    """An execution that publishes without a request, of an image whose date EC2 does not tell."""
    metadata = metadata_of(
        a_plan().model_copy(update={"request": None}),
        an_image(1, creation_date=None),
        region="us-east-1",
        number=1,
        replaces=None,
        provisioned=None,
        verified_at=None,
        verified=CommandFacts(kind="verify", image_digest=DIGEST, boot_to_healthy_seconds=3),
        run_name="run-1",
        first_boot=FIRST_BOOT,
    )
    assert (metadata.creation_date, metadata.branch, metadata.commit_sha) == ("", None, None)
    assert (metadata.workflow_run_id, metadata.base_ami_id, metadata.base_created) == ("run-1", None, None)
    assert metadata.facts == {"boot_to_healthy_seconds": 3, "first_boot": FIRST_BOOT.model_dump()}


def test_an_image_is_of_the_release_and_recipe_that_its_tags_say() -> None:
    image = an_image(1, tags={TAG_RELEASE: "arn:maker", TAG_RECIPE: "verify:0123456789ab"})
    metadata = metadata_of(
        a_plan(),
        image,
        region="us-east-1",
        number=1,
        replaces=None,
        provisioned=None,
        verified_at=None,
        verified=None,
        run_name="run-1",
    )
    assert (metadata.release, metadata.recipe) == ("arn:maker", "verify:0123456789ab")


HOOKED = settings(
    hooks={"verify": [{"script": "config/hooks/a.sh"}]}, hook_scripts={"config/hooks/a.sh": "#!/bin/sh\n"}
)


def test_the_hooks_that_made_an_image_are_among_its_facts() -> None:
    plan = a_plan().model_copy(update={"settings": HOOKED})
    assert a_metadata(plan=plan).facts == {"hooks": named_hooks(HOOKED.hooks, HOOKED.hook_scripts)}


def test_documents_that_made_an_image_are_named_with_their_version() -> None:
    content = json.dumps(
        {
            "schemaVersion": "2.2",
            "mainSteps": [
                {"action": "aws:runShellScript", "name": "run", "inputs": {"runCommand": ["true"]}}
            ],
        }
    )
    hooked = settings(hooks={"verify": [{"document": "Check"}]}).model_copy(
        update={"hook_programs": {"verify.0": program_of("Check:3", content, {})}}
    )
    plan = a_plan().model_copy(update={"settings": hooked})
    named = named_hooks(hooked.hooks, {}, hooked.hook_programs)
    assert named["verify"].startswith("Check:3 ")
    assert a_metadata(plan=plan).facts == {"hooks": named}


# Promotions.

PROMOTED = an_image(5, tags={TAG_DIGEST: DIGEST, TAG_GENERATION: "3", TAG_RECIPE: "verify:0123456789ab"})
VERIFIED = CommandFacts(
    kind="verify", image_digest=DIGEST, boot_to_healthy_seconds=41.5, first_read_seconds=12.5
)


def a_promotion(source: Metadata | None, image: Image = PROMOTED, **changes: Any) -> Metadata:
    values: dict[str, Any] = {
        "action": Action.PROMOTE,
        "promotion": Promotion(
            environment="staging", image_id=image_id(4), release="arn:maker", built_for="dev"
        ),
        "request": a_request(action=Action.PROMOTE, promote_from="staging"),
    }
    plan = a_plan().model_copy(update=values | changes)
    return metadata_of_promotion(
        plan,
        image,
        source,
        region="eu-west-1",
        number=7,
        replaces=image_id(2),
        verified_at=timestamp(NOW),
        verified=VERIFIED,
        run_name="run-9",
        first_boot=FIRST_BOOT,
    )


def test_a_promoted_image_keeps_what_its_build_said_and_tells_what_is_of_its_environment() -> None:
    source = a_metadata(
        provisioned(kernel="6.8"),
        environment="staging",
        branch="main",
        commit_sha="abc",
        base_setting="debian-12",
        recipe="provision:ba9876543210",
        release="arn:older",
        reason="its build",
        creation_date="2025-12-24T00:00:00Z",
        verified_at="2025-12-24T01:00:00Z",
        replaces=image_id(3),
    )
    source = source.model_copy(
        update={"facts": {**source.facts, "hooks": {"verify": "old.sh 0"}, "first_boot": {"data_bytes": 1}}}
    )
    reasons = ("asked for", "x" * 500)
    promoted = a_promotion(source, reasons=reasons)
    assert promoted == source.model_copy(
        update={
            "ami_id": image_id(5),
            "environment": "prod",
            "creation_date": "2026-01-15T12:00:00Z",
            "region": "eu-west-1",
            "workflow_run_id": "run-9",
            "workflow_run_number": "7",
            "release": "arn:maker",
            "promoted_from": "staging",
            "recipe": "verify:0123456789ab",
            "verified_at": timestamp(NOW),
            "snapshot_ids": PROMOTED.snapshot_ids,
            "replaces": image_id(2),
            "reason": "; ".join(reasons)[:400],
            "facts": {
                "kernel": "6.8",
                "boot_to_healthy_seconds": 41.5,
                "first_read_seconds": 12.5,
                "first_boot": FIRST_BOOT.model_dump(),
            },
        }
    )


@pytest.mark.parametrize("came_from", ["dev", None])
def test_an_undeleted_image_keeps_where_it_was_promoted_from(came_from: str | None) -> None:
    source = a_metadata(promoted_from=came_from)
    assert a_promotion(source, action=Action.UNDELETE).promoted_from == came_from


def test_who_promotes_may_say_more_than_the_build_did() -> None:
    request = a_request(
        action=Action.PROMOTE,
        promote_from="staging",
        branch="release",
        commit_sha="cafe",
        workflow_run_id="77",
    )
    promoted = a_promotion(a_metadata(branch="main", commit_sha="abc"), request=request)
    assert (promoted.branch, promoted.commit_sha, promoted.workflow_run_id) == ("release", "cafe", "77")
    without = a_promotion(a_metadata(branch="main", commit_sha="abc"), request=None)
    assert (without.branch, without.commit_sha, without.workflow_run_id) == ("main", "abc", "run-9")


def test_a_promoted_image_without_a_record_to_copy_says_what_its_tags_say() -> None:
    promoted = a_promotion(None, settings=HOOKED)
    assert (promoted.docker_image, promoted.image_digest) == ("registry/comfyui:prod-latest", DIGEST)
    assert (promoted.generation, promoted.environment, promoted.region) == (3, "prod", "eu-west-1")
    assert (promoted.release, promoted.promoted_from, promoted.branch) == ("arn:maker", "staging", None)
    assert promoted.facts["hooks"] == named_hooks(HOOKED.hooks, HOOKED.hook_scripts)
    assert a_promotion(None, an_image(5, creation_date=None)).creation_date == ""


def test_a_history_record_adds_what_became_of_the_image() -> None:
    record = history_of(
        a_metadata(), RecordStatus.SUPERSEDED, "replaced", NOW, image_id(3), "arn:aws:states:::execution"
    )
    assert json.loads(dump(record)) == json.loads(dump(a_metadata())) | {
        "status": "superseded",
        "status_reason": "replaced",
        "status_since": "2026-01-15T12:00:00Z",
        "superseded_by": image_id(3),
        "published_by": "arn:aws:states:::execution",
        "rolled_back": False,
        "registration": None,
        "soaking_since": None,
    }


@pytest.mark.parametrize("since", [None, "2026-01-15T12:00:00Z"])
def test_since_when_it_soaks_stays_said_of_a_known_record(since: str | None) -> None:
    known = history_of(a_metadata(), RecordStatus.LIVE, "published", NOW, soaking_since=since)
    assert known.soaking_since == since
    assert history_of(known, RecordStatus.KEPT, "kept", NOW).soaking_since == since
    assert history_of(known, RecordStatus.KEPT, "kept", NOW, soaking_since="later").soaking_since == "later"


@pytest.mark.parametrize("said", [True, False])
def test_that_a_person_went_back_stays_said_of_a_known_record(said: bool) -> None:
    known = history_of(a_metadata(), RecordStatus.SUPERSEDED, "replaced", NOW, rolled_back=said)
    assert known.rolled_back is said
    assert history_of(known, RecordStatus.KEPT, "kept", NOW).rolled_back is said
    assert history_of(known, RecordStatus.KEPT, "kept", NOW, rolled_back=True).rolled_back


# What fits, and in which order the rest goes.


def test_records_are_written_tight_in_the_order_of_the_schema() -> None:
    text = dump(a_metadata())
    assert text.startswith(f'{{"ami_id":"{image_id(1)}","docker_image":"registry/comfyui:prod-latest",')
    assert text.endswith('"schema_version":1}')


def test_a_record_never_names_another_parameter() -> None:
    """SSM API reference, PutParameter, Value: {{name}} stands for the value of that parameter."""
    text = dump(a_metadata(reason="{{ssm:/secret}} and {{{"))
    assert "{{" not in text
    assert json.loads(text)["reason"] == "{{ssm:/secret}} and {{{"


def filled(characters: int) -> Metadata:
    """A record whose JSON has this many characters: docker_image is cut last."""
    empty = len(dump(a_metadata(docker_image="", snapshot_ids=())))
    return a_metadata(docker_image="x" * (characters - empty), snapshot_ids=())


def test_what_just_fits_is_not_changed() -> None:
    assert len(dump(filled(4_096))) == 4_096
    assert len(json.loads(dump(filled(4_096)))["docker_image"]) > 3_000
    assert len(json.loads(dump(filled(4_097)))["docker_image"]) == 512


def test_ids_of_snapshots_go_before_a_value_is_cut() -> None:
    many = tuple(f"snap-{number:017x}" for number in range(300))
    written = json.loads(dump(a_metadata(snapshot_ids=many, docker_image="x" * 600, region="y" * 300)))
    assert (written["snapshot_ids"], len(written["docker_image"]), len(written["region"])) == ([], 600, 300)


def test_values_are_cut_to_what_one_of_their_kind_can_be() -> None:
    written = json.loads(dump(a_metadata(docker_image="x" * 600, region="y" * 4_000)))
    assert (len(written["docker_image"]), len(written["region"])) == (512, 256)


@pytest.mark.parametrize(("character", "kept"), [("x", 200), ("é", 33), ('"', 100), ("\N{ROCKET}", 16)])
def test_words_are_cut_to_what_they_take_in_json(character: str, kept: int) -> None:
    metadata = a_metadata(reason=character * 5_000)
    assert json.loads(dump(metadata))["reason"] == character * kept
