"""What the documents do on the emulated instances, as documents/README.md states it."""

from __future__ import annotations

import hashlib
import json

from emulator.tests.contract.account import ROLE_TAG, Server
from testbed.tests.account import LifecycleAccount

from ami_lifecycle_testbed.durations import BuildDurations

URI = "123456789012.dkr.ecr.us-east-1.amazonaws.com/comfyui"


def provisioned(account: LifecycleAccount, **changes: str) -> tuple[str, str, str]:
    """Send ProvisionImage and let it end: instance, command and digest."""
    account.repository()
    digest = account.push()
    instance_id, document = account.running(), account.document("stack-ProvisionImage-1")
    command_id = account.send(instance_id, document, **{"ImageUri": URI, "ImageDigest": digest} | changes)
    account.advance(account.builds.provision + 1)
    return instance_id, command_id, digest


def test_provisioning_ends_with_facts_and_an_event(account: LifecycleAccount) -> None:
    """documents/README.md: the last line of the output is one JSON object."""
    instance_id, command_id, digest = provisioned(account)
    invocation = account.invocation(command_id, instance_id)
    assert (invocation["Status"], invocation["ResponseCode"]) == ("Success", 0)
    assert invocation["PluginName"] == "theStep"
    facts = json.loads(invocation["StandardOutputContent"].splitlines()[-1])
    assert (facts["kind"], facts["image_digest"], facts["mode"]) == ("provision", digest, "fresh")
    details = account.events_of("EC2 Command Invocation Status-change Notification")
    assert [each["status"] for each in details] == ["InProgress", "Success"]
    assert details[1]["instance-id"] == instance_id
    details = account.events_of("EC2 Command Status-change Notification")
    assert [each["status"] for each in details] == ["InProgress", "Success"]
    assert details[0]["parameters"]["ImageDigest"] == [digest]


def test_provisioning_a_digest_that_ecr_does_not_have_fails(account: LifecycleAccount) -> None:
    """documents/README.md: exit code 16, and one clear sentence."""
    instance_id, command_id, _ = provisioned(account, ImageDigest="sha256:" + "f" * 64)
    invocation = account.invocation(command_id, instance_id)
    assert (invocation["Status"], invocation["StatusDetails"], invocation["ResponseCode"]) == (
        "Failed",
        "Failed",
        16,
    )
    assert invocation["StandardErrorContent"].startswith("ami-lifecycle: ")


def test_a_canary_holds_what_was_provisioned(account: LifecycleAccount) -> None:
    """VerifyImage finds the digest on an instance of the image, and only that digest."""
    instance_id, _, digest = provisioned(account)
    canary = account.running(ImageId=account.image(InstanceId=instance_id))
    document = account.document("stack-VerifyImage-1")
    for wanted, status, code in ((digest, "Success", 0), ("sha256:" + "f" * 64, "Failed", 17)):
        command_id = account.send(canary, document, ImageUri=URI, ImageDigest=wanted)
        account.advance(account.builds.verify + 1)
        invocation = account.invocation(command_id, canary)
        assert (invocation["Status"], invocation["ResponseCode"]) == (status, code)


def test_labels_of_the_pushed_image_are_in_the_facts(account: LifecycleAccount) -> None:
    """Labels come from the image's config, where it was uploaded."""
    account.repository()
    labels = {"ami-lifecycle.commit": "0a1b", "org.opencontainers.image.ref.name": "ubuntu"}
    config = json.dumps({"config": {"Labels": labels | {"maintainer": "nobody"}}}).encode()
    upload = account.ecr.initiate_layer_upload(repositoryName="comfyui")["uploadId"]
    account.ecr.upload_layer_part(
        repositoryName="comfyui",
        uploadId=upload,
        partFirstByte=0,
        partLastByte=len(config) - 1,
        layerPartBlob=config,
    )
    blob = f"sha256:{hashlib.sha256(config).hexdigest()}"
    account.ecr.complete_layer_upload(repositoryName="comfyui", uploadId=upload, layerDigests=[blob])
    manifest = json.dumps({"schemaVersion": 2, "config": {"digest": blob, "size": len(config)}, "layers": []})
    answer = account.ecr.put_image(repositoryName="comfyui", imageManifest=manifest, imageTag="latest")
    digest = answer["image"]["imageId"]["imageDigest"]
    instance_id, document = account.running(), account.document("ProvisionImage")
    command_id = account.send(instance_id, document, ImageUri=URI, ImageDigest=digest)
    account.advance(account.builds.provision + 1)
    output = account.invocation(command_id, instance_id)["StandardOutputContent"]
    facts = json.loads(output.splitlines()[-1])
    assert facts["image_labels"] == labels
    assert facts["image_size_bytes"] == len(config)


def test_the_canarys_agent_has_a_time_of_its_own(server: Server) -> None:
    """The instance with the role canary uses canary_online instead of agent_online."""
    account = LifecycleAccount(server, BuildDurations(agent_online=100, canary_online=20))
    waiting = {role: account.builds.agent_online_of(role) for role in ("canary", "builder")}
    assert waiting == {"canary": 20, "builder": 100}
    canary, builder = (launched(account, role) for role in waiting)
    account.advance(20)
    assert account.state.instances[canary].agent_online
    assert not account.state.instances[builder].agent_online


def launched(account: LifecycleAccount, role: str) -> str:
    """An instance whose tags say what it is for."""
    tags = [{"ResourceType": "instance", "Tags": [{"Key": ROLE_TAG, "Value": role}]}]
    return account.launch(TagSpecifications=tags)
