"""Puts machines, and the registry that they pull from, behind an emulated account."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from ami_lifecycle_testbed.durations import BuildDurations
from ami_lifecycle_testbed.machines.container_provisioner import ContainerProvisioner
from ami_lifecycle_testbed.provisioner import RefusedPull
from aws_emulator.api.operations import ApiError
from aws_emulator.ec2.store import Ec2Store
from aws_emulator.ecr import Registry
from aws_emulator.faults import Faults
from aws_emulator.machines.base_image import prepare_base_image
from aws_emulator.machines.ecr_endpoint import EcrEndpoint
from aws_emulator.machines.errors import MissingRequirementsError
from aws_emulator.machines.machine_host import MachineHost
from aws_emulator.machines.requirements import missing_requirements

# What ECR says when an image is there already: pushing it again is no error for a client.
_PUSHED_BEFORE: Final = "ImageAlreadyExistsException"


class ContainerBuilders:
    """Machines for the builders and canaries of an account; a registry on 127.0.0.1 to push to.

    Args:
        cleanup: takes what must be closed at the end.
        account_id, region: of the account.

    Attributes:
        registry_address: `host:port` of the registry, for `docker push`; sign in as AWS with a token of ECR.

    Raises:
        MissingRequirementsError: this host cannot run machines.
        CommandError: the base image could not be made.
    """

    def __init__(self, cleanup: ExitStack, account_id: str, region: str) -> None:
        if reasons := missing_requirements():
            raise MissingRequirementsError(f"machines cannot run here: {'; '.join(reasons)}")
        self.host = cleanup.enter_context(MachineHost(prepare_base_image(account_id, region)))
        self._cleanup = cleanup
        self.registry_address = ""

    def provisioner(
        self,
        durations: BuildDurations,
        ec2: Ec2Store,
        registry: Registry,
        faults: Faults,
        refused_pull: RefusedPull,
        documents: Path,
        access_key_of: Callable[[str, Mapping[str, str]], str | None],
    ) -> ContainerProvisioner:
        """The provisioner of an account whose ECR is `registry`."""
        registry.new_token = self.host.authority.issue
        return ContainerProvisioner(
            durations,
            ec2,
            registry,
            faults,
            refused_pull,
            documents=documents,
            machine_host=self.host,
            access_key_of=access_key_of,
        )

    def serve_services(self, endpoint_url: str) -> None:
        """Have what machines call of other services than ECR answered by the account, as what their role may do."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

        def call(headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
            request = urllib.request.Request(f"{endpoint_url}/", data=body, headers=headers)  # noqa: S310 - our own address
            try:
                with opener.open(request, timeout=60) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as error:
                return error.code, error.read()

        self.host.api = call

    def serve_registry(self, call: Callable[[str, dict[str, Any]], Any]) -> None:
        """Serve the registry, and tell the account's ECR what is pushed.

        Args:
            call: makes an ECR API call by operation and parameters; raises `ApiError`.
        """

        def pushed(repository: str, reference: str, media_type: str, manifest: bytes) -> str | None:
            tag = {} if reference.startswith("sha256:") else {"imageTag": reference}
            image = {"imageManifest": manifest.decode(), "imageManifestMediaType": media_type, **tag}
            try:
                call("PutImage", {"repositoryName": repository, **image})
            except ApiError as error:
                return None if error.code == _PUSHED_BEFORE else str(error)
            return None

        listener = socket.create_server(("127.0.0.1", 0))
        endpoint = EcrEndpoint(listener, self.host.registry, self.host.authority, None, pushed=pushed)
        self._cleanup.callback(endpoint.close)
        self.registry_address = f"127.0.0.1:{listener.getsockname()[1]}"
