"""Tags of parameters and documents (Systems Manager API reference: AddTagsToResource, ...)."""

from __future__ import annotations

from aws_emulator.api.operations import ApiError, Request, Response, operation
from aws_emulator.ssm.documents import Documents
from aws_emulator.ssm.parameter_store import ParameterStore


class ResourceTags:
    """The operations on tags, by the resource's type and name."""

    def __init__(self, store: ParameterStore, documents: Documents) -> None:
        self._store = store
        self._documents = documents

    @operation("ssm", "AddTagsToResource")
    def add_tags_to_resource(self, request: Request) -> Response:
        """Add or overwrite tags; at most 50 on a resource."""
        with self._store.lock, self._documents.lock:
            tags = self._tags(request)
            added = {tag["Key"]: tag["Value"] for tag in request.parameters["Tags"]}
            if len(tags | added) > 50:
                raise ApiError("TooManyTagsError", "A resource can have at most 50 tags.")
            tags.update(added)
            return {}

    @operation("ssm", "RemoveTagsFromResource")
    def remove_tags_from_resource(self, request: Request) -> Response:
        """Remove tags by key."""
        with self._store.lock, self._documents.lock:
            tags = self._tags(request)
            for key in request.parameters["TagKeys"]:
                tags.pop(key, None)
            return {}

    @operation("ssm", "ListTagsForResource")
    def list_tags_for_resource(self, request: Request) -> Response:
        """List the tags of a resource."""
        with self._store.lock, self._documents.lock:
            return {"TagList": [{"Key": key, "Value": value} for key, value in self._tags(request).items()]}

    def _tags(self, request: Request) -> dict[str, str]:
        kind, name = request.parameters["ResourceType"], request.parameters["ResourceId"]
        if kind == "Parameter":
            parameter = self._store.parameters.get(name)
            found = parameter.tags if parameter and not parameter.public else None
        elif kind == "Document":
            document = self._documents.documents.get(name)
            found = document.tags if document else None
        else:
            raise ApiError("InvalidResourceType", f"The emulator has no resources of type {kind}.")
        if found is None:
            raise ApiError("InvalidResourceId", f"The resource {name} does not exist.")
        return found
