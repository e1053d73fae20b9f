"""Launch templates (EC2 API reference: CreateLaunchTemplate and those around it)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.ec2.filters import Values, page, select
from aws_emulator.ec2.model import LaunchTemplate, TemplateVersion
from aws_emulator.ec2.requests import (
    ClientTokens,
    idempotency_mismatch,
    read_tags,
    refuse_dry_run,
    require_id,
    supported,
    tag_list,
    tags_for,
)
from aws_emulator.ec2.store import Ec2Store, ImageParameters

_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_SSM: Final = "resolve:ssm:"
_NAME: Final = re.compile(r"[a-zA-Z0-9().\-/_]{3,128}")
_FILTERS: Final[Mapping[str, Values]] = {
    "create-time": lambda each: [each.created.strftime("%Y-%m-%dT%H:%M:%S.000Z")],
    "launch-template-name": lambda each: [each.name],
}


class LaunchTemplates:
    """The operations on launch templates.

    Args:
        parameters: resolves the aliases in templates.
    """

    def __init__(self, store: Ec2Store, parameters: ImageParameters) -> None:
        self._store = store
        self._parameters = parameters
        self._tokens = ClientTokens[LaunchTemplate]()
        self._version_tokens = ClientTokens[int]()
        self._default_tokens = ClientTokens[int]()

    @operation("ec2", "CreateLaunchTemplate")
    def create_launch_template(self, request: Request) -> Response:
        """Create a launch template with its version 1, once for a client token."""
        with self._store.lock:
            parameters = supported(
                request,
                "ClientToken",
                "LaunchTemplateData",
                "LaunchTemplateName",
                "TagSpecifications",
                "VersionDescription",
            )
            if (known := self._tokens.known(request, parameters)) is not None:
                return self._repeated_template(known)
            name = parameters["LaunchTemplateName"]
            if not _NAME.fullmatch(name):
                raise ApiError(
                    "InvalidLaunchTemplateName.MalformedException",
                    "A launch template name must be between 3 and 128 characters, and may contain letters, numbers, "
                    "and the following characters: - ( ) . / _.",
                )
            if any(template.name == name for template in self._store.templates.values()):
                raise ApiError(
                    "InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use."
                )
            data = _checked_data(parameters["LaunchTemplateData"])
            tags = tags_for(parameters.get("TagSpecifications"), ("launch-template",))
            refuse_dry_run(request)
            version = TemplateVersion(
                number=1,
                description=parameters.get("VersionDescription"),
                data=data,
                created=self._store.clock.now(),
            )
            template = LaunchTemplate(
                **self._store.stamp(),
                template_id=self._store.new_id("lt"),
                name=name,
                versions={1: version},
                client_token=parameters.get("ClientToken"),
                tags=tags["launch-template"],
            )
            self._store.templates[template.template_id] = template
            self._tokens.remember(parameters, template)
            return {"LaunchTemplate": self._shown_template(template)}

    def _repeated_template(self, template: LaunchTemplate) -> Response:
        # The token no longer matches once the template has further versions or is gone.
        unchanged = template.template_id in self._store.templates and set(template.versions) == {1}
        if not unchanged:
            raise idempotency_mismatch()
        return {"LaunchTemplate": self._shown_template(template)}

    @operation("ec2", "CreateLaunchTemplateVersion")
    def create_launch_template_version(self, request: Request) -> Response:
        """Add a version, on its own or laid over a source version."""
        with self._store.lock:
            parameters = supported(
                request,
                "ClientToken",
                "LaunchTemplateData",
                "LaunchTemplateId",
                "LaunchTemplateName",
                "ResolveAlias",
                "SourceVersion",
                "VersionDescription",
            )
            template = _require_template(self._store, parameters)
            if (known := self._version_tokens.known(request, parameters)) is not None:
                if known not in template.versions:
                    raise idempotency_mismatch()
                repeated = self._shown_version(template, template.versions[known], resolve=False)
                return {"LaunchTemplateVersion": repeated}
            data = _checked_data(parameters["LaunchTemplateData"])
            if "SourceVersion" in parameters:
                (source,) = _versions(template, [parameters["SourceVersion"]])
                data = source.data | data
            refuse_dry_run(request)
            # The number of a deleted version is not given again.
            number = template.last_number = template.last_number + 1
            template.versions[number] = TemplateVersion(
                number=number,
                description=parameters.get("VersionDescription"),
                data=data,
                created=self._store.clock.now(),
            )
            self._version_tokens.remember(parameters, number)
            shown = self._shown_version(
                template, template.versions[number], resolve=parameters.get("ResolveAlias", False)
            )
            return {"LaunchTemplateVersion": shown}

    @operation("ec2", "ModifyLaunchTemplate")
    def modify_launch_template(self, request: Request) -> Response:
        """Choose the default version."""
        with self._store.lock:
            parameters = supported(
                request, "ClientToken", "DefaultVersion", "LaunchTemplateId", "LaunchTemplateName"
            )
            template = _require_template(self._store, parameters)
            if "DefaultVersion" not in parameters:
                raise ApiError(
                    "MissingParameter",
                    "A launch template version must be specified to set the new default version for the template with "
                    f"ID {template.template_id}.",
                )
            known = self._default_tokens.known(request, parameters)
            (version,) = _versions(template, [parameters["DefaultVersion"]])
            refuse_dry_run(request)
            if known is None:
                template.default_version = version.number
                self._default_tokens.remember(parameters, version.number)
            return {"LaunchTemplate": self._shown_template(template)}

    @operation("ec2", "DeleteLaunchTemplate")
    def delete_launch_template(self, request: Request) -> Response:
        """Delete a launch template with all of its versions."""
        with self._store.lock:
            template = _require_template(
                self._store, supported(request, "LaunchTemplateId", "LaunchTemplateName")
            )
            refuse_dry_run(request)
            del self._store.templates[template.template_id]
            return {"LaunchTemplate": self._shown_template(template)}

    @operation("ec2", "DeleteLaunchTemplateVersions")
    def delete_launch_template_versions(self, request: Request) -> Response:
        """Delete versions by number; one that does not exist refuses the whole call, the default one stays."""
        with self._store.lock:
            parameters = supported(request, "LaunchTemplateId", "LaunchTemplateName", "Versions")
            template = _require_template(self._store, parameters)
            versions = _versions(template, parameters["Versions"])
            refuse_dry_run(request)
            deleted = [each for each in versions if each.number != template.default_version]
            for version in deleted:
                del template.versions[version.number]
            names = {"LaunchTemplateId": template.template_id, "LaunchTemplateName": template.name}
            return {
                "SuccessfullyDeletedLaunchTemplateVersions": [
                    {**names, "VersionNumber": each.number} for each in deleted
                ],
                "UnsuccessfullyDeletedLaunchTemplateVersions": [
                    {
                        **names,
                        "VersionNumber": each.number,
                        "ResponseError": {
                            "Code": "unexpectedError",
                            "Message": "The default version cannot be deleted.",
                        },
                    }
                    for each in versions
                    if each not in deleted
                ],
            }

    @operation("ec2", "DescribeLaunchTemplates")
    def describe_launch_templates(self, request: Request) -> Response:
        """Describe launch templates by id, name and filters, in pages."""
        with self._store.lock:
            parameters = supported(
                request, "Filters", "LaunchTemplateIds", "LaunchTemplateNames", "MaxResults", "NextToken"
            )
            templates = list(self._store.templates.values())
            if parameters.get("LaunchTemplateIds"):
                templates = [
                    _require_template(self._store, {"LaunchTemplateId": each})
                    for each in parameters["LaunchTemplateIds"]
                ]
            elif parameters.get("LaunchTemplateNames"):
                templates = [
                    _require_template(self._store, {"LaunchTemplateName": each})
                    for each in parameters["LaunchTemplateNames"]
                ]
            shown, token = page(
                select(templates, parameters.get("Filters"), _FILTERS), parameters, limits=(1, 200)
            )
            return {"LaunchTemplates": [self._shown_template(each) for each in shown], "NextToken": token}

    @operation("ec2", "DescribeLaunchTemplateVersions")
    def describe_launch_template_versions(self, request: Request) -> Response:
        """Describe versions of one template, newest first, or the latest or default of all templates."""
        with self._store.lock:
            parameters = supported(
                request,
                "LaunchTemplateId",
                "LaunchTemplateName",
                "MaxResults",
                "MaxVersion",
                "MinVersion",
                "NextToken",
                "ResolveAlias",
                "Versions",
            )
            versions = parameters.get("Versions", [])
            if "LaunchTemplateId" in parameters or "LaunchTemplateName" in parameters:
                template = _require_template(self._store, parameters)
                found = [(template, each) for each in _versions(template, versions)]
            else:
                found = self._versions_of_all(versions)
            low, high = _bound(parameters, "MinVersion", 0), _bound(parameters, "MaxVersion", 10**9)
            rows = [
                _Row(index, *each) for index, each in enumerate(found, 1) if low <= each[1].number <= high
            ]
            shown, token = page(rows, parameters, limits=(1, 200))
            resolve = parameters.get("ResolveAlias", False)
            return {
                "LaunchTemplateVersions": [
                    self._shown_version(row.template, row.version, resolve=resolve) for row in shown
                ],
                "NextToken": token,
            }

    def _versions_of_all(self, versions: list[str]) -> list[tuple[LaunchTemplate, TemplateVersion]]:
        if not versions or not set(versions) <= {"$Latest", "$Default"}:
            raise ApiError(
                "MissingParameter",
                "Either a launch template id or name, or the versions $Latest or $Default are needed",
            )
        return [
            (template, version)
            for template in self._store.templates.values()
            for version in _versions(template, versions)
        ]

    def _shown_template(self, template: LaunchTemplate) -> dict[str, Any]:
        return {
            "LaunchTemplateId": template.template_id,
            "LaunchTemplateName": template.name,
            "CreateTime": template.created,
            "CreatedBy": f"arn:aws:iam::{self._store.account_id}:root",
            "DefaultVersionNumber": template.default_version,
            "LatestVersionNumber": template.latest_version,
            "Tags": tag_list(template.tags),
        }

    def _shown_version(
        self, template: LaunchTemplate, version: TemplateVersion, *, resolve: bool
    ) -> dict[str, Any]:
        data = dict(version.data)
        if resolve and str(data.get("ImageId", "")).startswith(_SSM):
            data["ImageId"] = self._parameters.resolve_image(data["ImageId"].removeprefix(_SSM))
        return {
            "LaunchTemplateId": template.template_id,
            "LaunchTemplateName": template.name,
            "VersionNumber": version.number,
            "VersionDescription": version.description,
            "CreateTime": version.created,
            "CreatedBy": f"arn:aws:iam::{self._store.account_id}:root",
            "DefaultVersion": version.number == template.default_version,
            "LaunchTemplateData": data,
        }


def template_data(store: Ec2Store, reference: Mapping[str, str]) -> dict[str, Any]:
    """The launch parameters of a template's version, for RunInstances.

    Raises:
        ApiError: if the template or its version does not exist.
    """
    _, version = version_of(store, reference)
    return dict(version.data)


def version_of(store: Ec2Store, reference: Mapping[str, str]) -> tuple[LaunchTemplate, TemplateVersion]:
    """The template and the version that a specification names; without a version, the default one.

    Raises:
        ApiError: if the template or its version does not exist.
    """
    template = _require_template(store, reference)
    (version,) = _versions(template, [reference.get("Version", "$Default")])
    return template, version


def _bound(parameters: Mapping[str, Any], member: str, default: int) -> int:
    text = parameters.get(member)
    if text is None:
        return default
    if not _NUMBER.fullmatch(text):
        raise ApiError("InvalidParameterValue", f"Value ({text}) for parameter {member} is invalid.")
    return int(text)


def _versions(template: LaunchTemplate, versions: list[str]) -> list[TemplateVersion]:
    if not versions:
        return sorted(template.versions.values(), key=lambda each: -each.number)
    names = {"$Latest": template.latest_version, "$Default": template.default_version}
    found = {}
    for text in versions:
        number = names.get(text) or (int(text) if _NUMBER.fullmatch(text) else 0)
        if number not in template.versions:
            raise ApiError(
                "InvalidLaunchTemplateId.VersionNotFound",
                f"Could not find launch template version {text} for launch template {template.template_id}.",
            )
        found[number] = template.versions[number]
    return sorted(found.values(), key=lambda each: -each.number)


def _require_template(store: Ec2Store, reference: Mapping[str, Any]) -> LaunchTemplate:
    template_id, name = reference.get("LaunchTemplateId"), reference.get("LaunchTemplateName")
    if (template_id is None) == (name is None):
        raise ApiError("MissingParameter", "Either a launch template id or a launch template name is needed")
    if template_id is not None:
        require_id("lt", template_id, "InvalidLaunchTemplateId")
        if template_id not in store.templates:
            raise ApiError(
                "InvalidLaunchTemplateId.NotFound",
                f"The launch template ID '{template_id}' does not exist",
            )
        return store.templates[template_id]
    for template in store.templates.values():
        if template.name == name:
            return template
    raise ApiError(
        "InvalidLaunchTemplateName.NotFoundException",
        "At least one of the launch templates specified in the request does not exist.",
    )


class _Row:
    """A version in its place of the answer, which is the order that paging keeps."""

    def __init__(self, sequence: int, template: LaunchTemplate, version: TemplateVersion) -> None:
        self.sequence = sequence
        self.template = template
        self.version = version


def _checked_data(data: Mapping[str, Any]) -> dict[str, Any]:
    if not data:
        raise ApiError("MissingParameter", "The request must contain the parameter LaunchTemplateData")
    for specification in data.get("TagSpecifications", ()):
        read_tags(specification.get("Tags", ()))
    return dict(data)
