"""The reference of `build_config.yml`: its JSON Schema for editors, and `docs/settings.md`, both from the models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from ami_lifecycle.domain.bases import BaseSettings
from ami_lifecycle.domain.build_config import NAME_TEMPLATE, TAG_TEMPLATE
from ami_lifecycle.domain.forms import NAME, Form
from ami_lifecycle.domain.settings import EnvironmentSettings

# What each setting does, by its path below an environment; one that is not here has a description in its model.
MEANINGS: Final[dict[str, str]] = {
    "repository": (
        "ECR repository whose pushes are built. Without it, the value `aws.ecr.repository` of "
        "`aws_config.yml`."
    ),
    "image_tag": (
        "Tag that is built. May contain `{environment}` and `{application}`. May stand at the top of the "
        "file, too."
    ),
    "publishes": (
        "`promotions`: what is promoted from other environments, while pushes, tags and schedules build nothing here: "
        "[promotion.md](promotion.md)."
    ),
    "image_name": (
        "Constant name of the published image. May contain `{environment}` and `{application}`. May stand at "
        "the top of the file, too."
    ),
    "base": (
        "What a fresh build starts from: a name of the list, or a mapping of `parameter`, `image_id` or `newest`, and "
        "`owners`: [bases.md](bases.md)."
    ),
    "tags": "Tags of all that a build makes, beside the service's own: [deploy.md](deploy.md).",
    "hooks.provision": (
        "Before the Docker image is installed; each has `script`, or `document` and `version`; `parameters`, "
        "`timeout_seconds`."
    ),
    "hooks.provision_after": "After it, before the image is made.",
    "hooks.verify": "On the booted canary: one that does not exit with 0 keeps the image from being published.",
    "reconcile_attempts": "How often the sweep builds a digest whose build has failed.",
    "builder.instance_types": (
        "Types for builder and canary, in order of preference; each is tried subnet by subnet. The value "
        "`aws.builder.instance_types` of Parameter Store takes their place where it is set."
    ),
    "builder.architecture": "Architecture of the image, of the types above and of the Docker image.",
    "builder.subnet_ids": (
        "Subnets for builder and canary, in order of preference; those of the stack where there are none. The"
        " value `aws.builder.subnet_ids` of Parameter Store takes their place where it is set."
    ),
    "builder.root_volume_gib": (
        "Size of the root volume, and so of every instance that starts from the image."
    ),
    "builder.volume_type": "Type of the root volume.",
    "builder.iops": "Operations a second of the root volume (gp3 and io2).",
    "builder.throughput": "MiB a second of the root volume (gp3).",
    "builder.minimum_free_gib": "Free space that must be left on the builder before the pull.",
    "builder.agent_boot_seconds": (
        "How long a builder usually takes until its agent answers; it is not asked before."
    ),
    "builder.self_destruct_minutes": (
        "After this time an instance of ours ends itself, whatever happens to the execution."
    ),
    "container.ports": "Published ports, `host:container` or one for both.",
    "container.environment": "Variables of the container.",
    "container.command": "What follows the image in `docker run`.",
    "container.volumes": "Mounted directories, `/host:/container`, with `:ro` where it is not written to.",
    "container.shm_mib": "Size of `/dev/shm`; 0 leaves Docker's default (64 MiB).",
    "container.ipc": "`--ipc`: `host` is what PyTorch's data loaders across processes ask for.",
    "container.network": (
        "`--network`: with `host` there are no `ports`, and the container reaches the metadata as its host does."
    ),
    "container.ulimits": "`--ulimit`: `memlock=-1`, `nofile=65536:65536`.",
    "container.devices": (
        "`--device`: `/dev/fuse`, `/dev/infiniband/uverbs0`. Canary and instances must have them."
    ),
    "container.restart": (
        "When systemd starts the container again, as `--restart`: `no`, `always`, `unless-stopped`, `on-failure`. "
        "At boot it starts with each."
    ),
    "container.secrets": (
        "Variables whose values each instance fetches at the start: `ssm:NAME` or `secretsmanager:NAME`, by name or "
        "ARN, with `#KEY` for a key of a secret's JSON: [deploy.md](deploy.md)."
    ),
    "container.instance_variables": (
        "Variables that differ by instance: `tag:KEY` or `imds:PATH`, with a default after a bar, as `tag:Shard|0`: "
        "[deploy.md](deploy.md)."
    ),
    "container.gpu": (
        "`--gpus all`. Needs types with an NVIDIA GPU, `nvidia_toolkit` and a driver: [deploy.md](deploy.md)."
    ),
    "container.nvidia_toolkit": "Install NVIDIA's container toolkit.",
    "container.nvidia_driver": "Branch of the driver in Ubuntu's archive, in quotes: `'580-server'`.",
    "verification.enabled": "Boot the candidate and check it before it is published.",
    "verification.metadata_hop_limit": (
        "Hop limit of the canary's metadata: with 1, its container does not reach the role of the canary."
    ),
    "verification.health_check.kind": (
        "`none`: the container stays up. `http`: it answers with a status from 200 to 399. `command`: a shell"
        " command succeeds in the container."
    ),
    "verification.health_check.port": "Port of the HTTP check.",
    "verification.health_check.path": "Path of the HTTP check.",
    "verification.health_check.command": "Command of the check of kind `command`.",
    "verification.health_check.timeout_seconds": "How long the check may take to succeed.",
    "launch.initialization_rate": (
        "MiB a second, 100 to 300, at which the canary's volumes are read from their snapshots, as your own launches "
        "should ask for, too: [fleets.md](fleets.md). 0 asks for no rate, and costs nothing."
    ),
    "launch.initialization_usd_per_gib": (
        "Price in US dollars of a GiB of data at that rate in your Region, for the record of each image; without it, "
        "$0.000012 for each MiB a second, which is the price in us-east-1."
    ),
    "launch.initialization_quota": (
        "What your Region allows of volume initialization at the same time (L-A37D9CF3), in MiB a second."
    ),
    "publication.image_naming": (
        "`canonical`: the live image has the constant name `image_name`. `unique`: each image has a name of "
        "its own."
    ),
    "publication.grace_period_seconds": (
        "How long launches in flight may still use the old image before it goes."
    ),
    "publication.history_to_keep": "How many history records are kept in Parameter Store.",
    "retirement.keep_previous": (
        "How many previous images are kept beyond those in use, by publication. As long as one of them has the "
        "constant name, the live image goes by a name of its own, because EC2 has no two images of one name: consumers "
        "must look it up by `latest` then. What somebody rolled back from takes no other's place."
    ),
    "retirement.max_images": (
        "More images than this never go at once: then none does, until somebody allows it: "
        "[runbook.md](runbook.md#too-many-images-would-go-at-once)."
    ),
    "retirement.max_percent": (
        "The same as a share of the environment's images, the live one included. One image may always go, because a "
        "publication replaces one."
    ),
    "retirement.deprecate_kept": (
        "Set EC2's deprecation date on images that are kept, so that other accounts do not find them any more; one "
        "that becomes live again loses it."
    ),
    "retirement.deregistration_protection": (
        "Have EC2 refuse the deregistration of the live image, whoever asks. The service takes that back when it "
        "retires the image, but not when you switch the setting off."
    ),
    "retirement.launch_template_versions": (
        "`used`: a launch template keeps the images of the versions that something launches. `all`: of every version."
    ),
    "retirement.parameter_paths": (
        "Paths below which parameters are read for ids of images that are in use; `/` is the whole account."
    ),
    "retirement.protect_launch_permissions": "Keep an image that is shared with other accounts.",
    "retirement.protect_running_instances": "Keep an image while instances that were started from it run.",
    "refresh.max_generations": "After so many updates, the next build starts from the base again.",
    "refresh.max_base_age_days": (
        "When the base's image below is older, the next build starts from the base again."
    ),
    "refresh.rebuild_after_days": (
        "When the live image is older, the sweep builds it again from the base, with the same Docker image: "
        "[runbook.md](runbook.md#patch-an-image-that-nobody-pushes-to)."
    ),
    "refresh.follow_base": (
        "When the base names a newer image than the one below the live image, the sweep builds it again."
    ),
    "approval.pushes": (
        "A person has to approve every build before it is published: [gates.md](gates.md#approval). Where the "
        "environment publishes pushes, promotions too."
    ),
    "approval.promotions": (
        "A person has to approve what is promoted to the environment. Where it publishes promotions, builds too."
    ),
    "approval.expires_hours": "After so many hours without a decision, a request for approval is over.",
    "refresh.window.days": "Days on which the window begins.",
    "refresh.window.from": "From when on scheduled rebuilds may start, in quotes: `'22:00'`.",
    "refresh.window.to": "Until when they may start; earlier than `from`, it is on the next day.",
    "refresh.window.timezone": "Time zone of the window, as the IANA database names it: `Europe/Berlin`.",
    "rollback_on_alarm.alarms": (
        "CloudWatch alarms, by name, with `*` for any characters; may contain `{environment}` and `{application}`. One "
        "that goes into ALARM while a publication soaks has what it replaced published again, and pins it."
    ),
    "rollback_on_alarm.soak_minutes": (
        "How long after a publication; so long, and 15 minutes more, the image that it replaced is kept."
    ),
    "refresh.max_per_sweep": (
        "An environment's rebuild waits for the next sweep, 15 minutes later, when this one has started so many, of "
        "all environments. Set it in `defaults`."
    ),
    "scan.enabled": "`false` switches off what `defaults` switch on.",
    "scan.max_findings.critical": "Most critical findings that pass.",
    "scan.max_findings.high": "Most high findings that pass.",
    "scan.max_findings.medium": "Most medium findings that pass.",
    "scan.max_findings.low": "Most low findings that pass.",
    "scan.max_findings.informational": "Most informational findings that pass.",
    "scan.max_findings.untriaged": "Most findings that pass to which nobody has given a severity yet.",
    "scan.only_fixable": (
        "Count only findings for which there is a fixed version. A basic scan does not say which, so each of its "
        "findings counts."
    ),
    "scan.missing": (
        "What has not been scanned, or cannot be: `refuse` keeps it out, `allow` lets it pass, and the records say so."
    ),
    "scan.wait_minutes": "How long an execution waits for a scan, from its start on.",
    "scan.waivers": (
        "Vulnerabilities that do not count until a day: `id`, `reason`, `expires`, and `package` for one package "
        "alone. An environment's list takes the place of that of `defaults`."
    ),
}
_OF_THE_FILE: Final = frozenset({"application", "environment", "hook_scripts", "hook_programs"})
# What is read of documents, which only plans have.
_OF_DOCUMENTS: Final = ("HookProgram", "HookStep")
_TEMPLATES: Final = {"image_tag": TAG_TEMPLATE, "image_name": NAME_TEMPLATE}


class _WithForms(GenerateJsonSchema):
    """Adds the patterns of our own checks, which pydantic cannot see."""

    def function_after_schema(self, schema: core_schema.AfterValidatorFunctionSchema) -> JsonSchemaValue:
        found = super().function_after_schema(schema)
        form = getattr(schema["function"]["function"], "__self__", None)
        if isinstance(form, Form):
            found |= {"pattern": f"^({form.pattern})$", "minLength": form.shortest, "maxLength": form.longest}
        return found


def setting_fields(
    model: type[BaseModel] = EnvironmentSettings, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, type[BaseModel], str]]:
    """The dotted path of every setting of an environment, with its model and its field there."""
    for name, field in model.model_fields.items():
        if not path and name in _OF_THE_FILE:
            continue
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel) and group is not BaseSettings:
            yield from setting_fields(group, (*path, name))
        else:
            yield ".".join((*path, field.alias or name)), model, name


def build_config_json_schema() -> dict[str, Any]:
    """Build the JSON Schema (2020-12) of `build_config.yml`, for editors and other tools."""
    environment = EnvironmentSettings.model_json_schema(schema_generator=_WithForms)
    definitions = environment.pop("$defs")
    environment.pop("required")
    for name in _OF_THE_FILE:
        environment["properties"].pop(name)
    for unused in _OF_DOCUMENTS:
        definitions.pop(unused)
    for name, template in _TEMPLATES.items():
        environment["properties"][name] = {"type": "string", "default": template}
    _describe(environment, definitions, ())
    environment |= {
        "type": ["object", "null"],
        "title": "Settings",
        "description": "Settings of an environment.",
    }
    application = _WithForms().generate(EnvironmentSettings.__pydantic_core_schema__)["properties"][
        "application"
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "build_config.yml of ami-lifecycle",
        "description": "How each environment is built, verified, published and retired.",
        "type": "object",
        "additionalProperties": False,
        "required": ["environments"],
        "properties": {
            "application": application
            | {"description": "Name of the application; the stack's ApplicationName."},
            **{name: environment["properties"][name] for name in _TEMPLATES},
            "defaults": {"$ref": "#/$defs/settings", "description": "For every environment."},
            "environments": {
                "type": "object",
                "minProperties": 1,
                "description": "The environments; an environment's own entries come on top of the defaults.",
                "propertyNames": {"pattern": f"^{NAME}$"},
                "additionalProperties": {"$ref": "#/$defs/settings"},
            },
        },
        "$defs": {**definitions, "settings": environment},
    }


def _describe(schema: dict[str, Any], definitions: Mapping[str, Any], path: tuple[str, ...]) -> None:
    for name, value in schema["properties"].items():
        below = (*path, name)
        named = definitions[value["$ref"].rsplit("/", 1)[-1]] if "$ref" in value else {}
        if "properties" in named:
            _describe(named, definitions, below)
        elif meaning := MEANINGS.get(".".join(below)):
            value["description"] = meaning


def settings_markdown() -> str:
    """The text of `docs/settings.md`."""
    schema = build_config_json_schema()
    groups: dict[str, list[str]] = {}
    documents: dict[str, str] = {}
    for path, model, _ in setting_fields():
        group, _, name = path.rpartition(".")
        own = schema["$defs"]["settings" if model is EnvironmentSettings else model.__name__]
        value = own["properties"][name]
        named = schema["$defs"][value["$ref"].rsplit("/", 1)[-1]] if "$ref" in value else {}
        groups.setdefault(group, []).append(_row(name, named | value, value.get("description", "")))
        documents[group] = "" if model is EnvironmentSettings else " ".join((model.__doc__ or "").split())
    sections = []
    for group, rows in groups.items():
        title = f"## `{group}`\n\n{documents[group]}" if group else "## At the top of an environment"
        table = "\n".join(["| setting | value | default | meaning |", "| --- | --- | --- | --- |", *rows])
        sections.append(f"{title}\n\n{table}\n")
    return f"{_INTRODUCTION}\n" + "\n".join(sections)


def _row(name: str, schema: Mapping[str, Any], meaning: str) -> str:
    default = schema.get("default")
    shown = "" if default is None else f"`{json.dumps(default)}`"
    return f"| `{name}` | {_form(schema)} | {shown} | {meaning} |".replace("|  |", "| |").replace(
        "|  |", "| |"
    )


def _form(schema: Mapping[str, Any]) -> str:
    """The type of a setting, with its range or its choices."""
    if "anyOf" in schema:
        return " or ".join(_form(each) for each in schema["anyOf"])
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name.lower()}s]({_PAGES[name]})"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = str(schema.get("type"))
    if kind == "integer" and {"minimum", "maximum"} <= set(schema):
        return f"{schema['minimum']:,} to {schema['maximum']:,}"
    if kind == "array":
        return f"list of {_form(schema['items'])}"
    return _WORDS.get(kind, kind)


# Where the items of a list are explained.
_PAGES: Final = {"Hook": "hooks.md", "Waiver": "gates.md"}
_WORDS: Final = {
    "boolean": "`true`, `false`",
    "integer": "whole number",
    "null": "nothing",
    "object": "mapping of names to text",
    "string": "text",
}

_INTRODUCTION: Final = """# Settings

<!-- Generated by scripts/generate.py from the models. Do not edit. -->

All settings of `config/build_config.yml`. The file has `application`, `image_tag` and `image_name` at the top,
`defaults` for every environment, and `environments`, whose own entries come on top at any depth:

```yaml
# yaml-language-server: $schema=./build_config.schema.json
application: comfyui
defaults:
  builder:
    root_volume_gib: 60
environments:
  dev: {}
  prod:
    retirement:
      keep_previous: 1
```

`ami-lifecycle config validate --offline` checks the file, with the line of what is wrong. Text that YAML reads as
something else goes in quotes: [configuration.md](configuration.md).
"""
