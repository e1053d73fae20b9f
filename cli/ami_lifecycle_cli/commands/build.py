"""`ami-lifecycle build`: start a build, or say what it would do."""

from __future__ import annotations

import re
from typing import Annotated, Final

import typer

from ami_lifecycle.domain import requests
from ami_lifecycle.domain.model import TAG_DIGEST, Image
from ami_lifecycle.domain.plan import BuildPlan
from ami_lifecycle.domain.request import Action, BuildRequest
from ami_lifecycle.errors import InvalidRequestError, RepositoryNotFoundError
from ami_lifecycle_cli.console.output import print_json, print_line, print_note
from ami_lifecycle_cli.console.stack_target import (
    DryRunOption,
    EnvironmentArgument,
    OperatorTarget,
    WatchOption,
    command,
)
from ami_lifecycle_cli.stack.approvals import asked_by_caller
from ami_lifecycle_cli.stack.deployment import Stack
from ami_lifecycle_cli.stack.execution_start import start_and_report
from ami_lifecycle_cli.stack.follower import finishing
from ami_lifecycle_cli.stack.formatting import print_fields, short_digest, short_name
from ami_lifecycle_cli.stack.records import read_environment_live

app = typer.Typer(add_completion=False)

ImageOption = Annotated[
    str | None, typer.Option("--image", metavar="URI", help="Docker image, as docker pull takes it.")
]
DigestOption = Annotated[str | None, typer.Option("--digest", help="Digest in the environment's repository.")]
TagOption = Annotated[str | None, typer.Option("--tag", help="Tag in the environment's repository.")]
FreshOption = Annotated[
    bool, typer.Option("--fresh", help="From the base, not from the environment's own image.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Also when it is published already, or pinned.")]
PinOption = Annotated[
    bool, typer.Option("--pin", help="Keep it live: neither pushes nor the sweep replace it until unpin.")
]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="Why; status and the record of the pin show it.")
]
_URI: Final = re.compile(
    r"(?P<repository>[^@]+?)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@command(app, "build")
def build(
    target: OperatorTarget,
    environment: EnvironmentArgument,
    *,
    image: ImageOption = None,
    digest: DigestOption = None,
    tag: TagOption = None,
    fresh: FreshOption = False,
    force: ForceOption = False,
    pin: PinOption = False,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    watch: WatchOption = False,
) -> None:
    """Build an environment's image: from its own tag, or from what the options name."""
    stack = Stack(target)
    stack.require_environment(environment)
    if image is not None:
        tag, digest = _parse_image(stack, environment, image, tag, digest)
    request = make_request(
        environment=environment,
        image_tag=tag,
        image_digest=digest,
        fresh=fresh,
        force=force,
        pin=pin,
        reason=reason,
    )
    started = stack.clock.now()
    plan = stack.planner().plan_request(request, stack.execution_arn("dry-run"), started).plan
    if pin and plan.action is Action.NONE and (live := _live_with(stack, request)) is not None:
        request = make_request(
            environment=environment,
            action=Action.PUBLISH,
            publish_image_id=live.image_id,
            image_digest=live.tags.get(TAG_DIGEST),
            pin=True,
            reason=reason,
        )
        plan = stack.planner().plan_request(request, stack.execution_arn("dry-run")).plan
    warning = _what_undoes(stack, plan)
    if plan.action is Action.NONE and (holder := _who_finishes(stack, plan)) is not None:
        plan = plan.model_copy(update={"reasons": (holder,)})
    if dry_run or (plan.action is Action.NONE and not watch):
        _print_plan(stack, plan, warning, as_json=target.as_json)
        return
    if warning is not None:
        print_note(f"Warning: {warning}")
    if plan.action is Action.ASK:
        request = asked_by_caller(stack, request)
    start_and_report(stack, request, watch=watch, as_json=target.as_json)


def _live_with(stack: Stack, request: BuildRequest) -> Image | None:
    """The live image, where it holds what was asked for and is not pinned; it is only pinned then."""
    settings, live = (
        stack.catalogue.get(request.environment),
        read_environment_live(stack, request.environment),
    )
    digest = request.image_digest or stack.repository.digest_of(
        settings.repository, request.image_tag or settings.image_tag
    )
    is_pinned = stack.environments.get(request.environment).pin is not None
    return live.image if live.digest == digest and not is_pinned else None


def _who_finishes(stack: Stack, plan: BuildPlan) -> str | None:
    """The execution that is about to publish the final image in place of the live candidate."""
    found = finishing(stack, plan.environment)
    if found is None or not any(found.image_id in reason for reason in plan.reasons):
        return None
    return (
        f"{short_name(found.execution_arn)} publishes {short_digest(found.digest)} at this moment; {found.image_id} is "
        f"its candidate, which the final image replaces. Wait for that: ami-lifecycle wait {plan.environment}"
    )


def _what_undoes(stack: Stack, plan: BuildPlan) -> str | None:
    """A warning where the sweep would undo the build, because the environment's tag names another digest."""
    if plan.action is not Action.BUILD or plan.source is None or (plan.request and plan.request.pin):
        return None
    settings = plan.configured
    tagged = stack.repository.digest_of(settings.repository, settings.image_tag)
    if tagged is None or tagged == plan.source.digest:
        return None
    return (
        f"{settings.repository}:{settings.image_tag} names {short_digest(tagged)}, not "
        f"{short_digest(plan.source.digest)}. Within 15 minutes of the publication the sweep builds "
        f"{settings.image_tag} again; to keep this build live, ask with --pin, or have "
        f"{settings.image_tag} name its image"
    )


def make_request(**fields: object) -> BuildRequest:
    """A request from the command's options. Raises `InvalidRequestError` that names the field."""
    given = {name: value for name, value in fields.items() if value is not None}
    return requests.make_request(given, "see --help")


def _parse_image(
    stack: Stack, environment: str, image: str, tag: str | None, digest: str | None
) -> tuple[str | None, str | None]:
    """Tag and digest of an image's URI, which must be one of the environment's repository."""
    found = _URI.fullmatch(image)
    if tag or digest or found is None or not (found["tag"] or found["digest"]):
        raise InvalidRequestError(
            f"--image {image!r} must end in a tag or a digest, and excludes --tag and --digest",
            hint="write registry/repository:tag or registry/repository@sha256:...",
        )
    repository = stack.catalogue.get(environment).repository
    if found["repository"] not in {repository, stack.repository.uri(repository)}:
        raise RepositoryNotFoundError(
            f"--image is of {found['repository']}, but {environment} is built from "
            f"{stack.repository.uri(repository)}",
            hint="push the image there",
        )
    return (None, found["digest"]) if found["digest"] else (found["tag"], None)


def _print_plan(stack: Stack, plan: BuildPlan, warning: str | None, *, as_json: bool) -> None:
    running = stack.environments.get(plan.environment).claim
    if as_json:
        fields = plan.model_dump(exclude={"run_id", "fencing"})
        print_json({"dry_run": True, **fields, "warning": warning})
        return
    if plan.action is Action.NONE:
        print_line(f"Nothing to do: {'; '.join(plan.reasons)}.")
        return
    if plan.action is Action.PUBLISH:
        print_line(f"Would pin {plan.environment} to its live image, which holds this already.")
        print_line("Dry run: nothing was started.")
        return
    settings, base = plan.configured, plan.base
    print_fields(
        [
            (
                "Would build",
                f"{plan.environment}, {plan.mode.value if plan.mode else ''} generation {plan.generation}",
            ),
            ("Docker image", plan.image.reference),
            ("Digest", short_digest(plan.image.digest)),
            ("From", base.image_id if base else None),
            ("Because", "\n".join(plan.reasons)),
            ("On", f"{', '.join(settings.builder.instance_types)}, {settings.builder.root_volume_gib} GiB"),
            ("Verified", "yes" if settings.verification.enabled else "no, the settings switch it off"),
            ("Scan", plan.scan.text if plan.scan else None),
            ("Image name", settings.image_name),
            ("Approval", f"it asks for {plan.asked.subject.id} first" if plan.ask else None),
            ("Pinned", "yes" if plan.request and plan.request.pin else None),
            ("Warning", warning),
            (
                "Waits for",
                f"{short_name(running.execution_arn)}, which holds the environment" if running else None,
            ),
        ]
    )
    print_line("Dry run: nothing was started.")
