"""What VerifyImage is told."""

from __future__ import annotations

import base64

from tests.unit.steps.test_instances_and_waits import INSTANCE, Build, at_instance

from ami_lifecycle.steps.verify_image import verification_parameters


def test_every_setting_of_the_health_check_has_its_parameter() -> None:
    check = {"kind": "http", "port": 8080, "path": "/health", "timeout_seconds": 77}
    build = Build(verification={"health_check": check})
    parameters = verification_parameters(build.plan, "eu-west-1")
    expected = {
        "ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/comfyui",
        "ImageDigest": build.digest,
        "Region": "eu-west-1",
        "Application": "comfyui",
        "Environment": "prod",
        "RunId": build.plan.run_id,
        "HealthCheck": "http",
        "HealthPort": "8080",
        "HealthPath": "/health",
        "HealthCommand": "-",
        "HealthTimeoutSeconds": "77",
    }
    assert {name: parameters.get(name) for name in expected} == expected


def test_the_command_of_a_health_check_travels_encoded() -> None:
    build = Build(verification={"health_check": {"kind": "command", "command": "test -s '/ü'"}})
    parameters = verification_parameters(build.plan, "eu-west-1")
    assert parameters["HealthCheck"] == "command"
    assert parameters["HealthCommand"] == base64.b64encode("test -s '/ü'".encode()).decode()


def test_the_canary_is_sent_the_document_with_its_parameters() -> None:
    build = Build()
    sent = build.execution.verify_image(at_instance(build))
    (command,) = build.account.world.commands.sent
    assert (sent.command_id, sent.instance_id, sent.number) == (command.command_id, INSTANCE, 1)
    assert command.comment == f"ami-lifecycle verify {build.plan.run_id}"
    assert command.parameters == verification_parameters(build.plan, "us-east-1")
