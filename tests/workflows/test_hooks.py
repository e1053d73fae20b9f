"""Hooks through the whole service: what one refuses is not published, and the recipe is on the image."""

from __future__ import annotations

import re

from tests.workflows.conftest import Running
from tests.workflows.service import Service

_ALL = [{"script": "config/hooks/good.sh", "parameters": {"LEVEL": "1"}}]
SETTINGS = {
    "environments": {
        "hooked": {"hooks": {"provision": _ALL, "provision_after": _ALL, "verify": _ALL}},
        "refused": {"hooks": {"verify": [{"script": "config/hooks/bad.sh"}]}},
        "unable": {"hooks": {"provision": [{"script": "config/hooks/bad.sh"}]}},
        "missing": {"hooks": {"provision": [{"script": "config/hooks/none.sh"}]}},
        "plain": {},
    },
    "scripts": {"good.sh": "#!/bin/bash\nexit 0\n", "bad.sh": "#!/bin/bash\nexit 3\n"},
}
RECIPE = "ami-lifecycle:recipe"


def test_the_recipe_is_on_the_image_and_in_its_records(service: Service) -> None:
    hooked, plain = service.environment("hooked"), service.environment("plain")
    built = [environment.must_build("good") for environment in (hooked, plain)]
    (image,) = hooked.images()
    recipe = {tag["Key"]: tag["Value"] for tag in image["Tags"]}[RECIPE]
    assert re.fullmatch("provision:[0-9a-f]{12} verify:[0-9a-f]{12}", recipe)
    assert hooked.metadata()["recipe"] == recipe
    assert hooked.history()[image["ImageId"]]["recipe"] == recipe
    named = hooked.metadata()["facts"]["hooks"]
    assert {stage: names.split()[0] for stage, names in named.items()} == dict.fromkeys(
        ("provision", "provision_after", "verify"), "good.sh"
    )
    assert "hooks" not in plain.metadata()["facts"]
    (image,) = plain.images()
    assert RECIPE not in {tag["Key"] for tag in image["Tags"]}
    # A hook costs no state.
    states = [service.states(ended.arn) for ended in built]
    assert states[0] == states[1]
    assert [each for each in service.sweep() if each["environment"] == "hooked"] == []


def test_what_a_verify_hook_refuses_is_not_published(service: Service) -> None:
    ended = service.environment("refused").build("refused by its hook")
    assert (ended.status, ended.error) == ("FAILED", "VerificationFailedError")
    assert "config/hooks/bad.sh, ended with exit code 3" in str(ended.cause)
    assert service.environment("refused").latest() is None
    assert service.environment("refused").images() == []


def test_a_provision_hook_that_fails_ends_the_build(service: Service) -> None:
    ended = service.environment("unable").build("its hook cannot")
    assert (ended.status, ended.error) == ("FAILED", "ProvisioningFailedError")
    assert "hook 1 of provision" in str(ended.cause)


def test_a_script_that_is_not_there_is_refused_before_anything_is_launched(
    running: Running, service: Service
) -> None:
    since = service.last_call()
    ended = service.environment("missing").build("has no script")
    assert (ended.status, ended.error) == ("FAILED", "SettingsError")
    assert "environments.missing.hooks.provision.0.script: config/hooks/none.sh does not exist" in str(
        ended.cause
    )
    assert [call for call in service.calls(since) if call["operation"] == "RunInstances"] == []
