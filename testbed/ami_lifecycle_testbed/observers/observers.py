"""The observers put together: around each call, at each event, at rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ami_lifecycle_testbed.observers.changes import ChangeObserver
from ami_lifecycle_testbed.observers.publication import PublicationObserver
from ami_lifecycle_testbed.observers.remains import Created, RemainsObserver, Source
from ami_lifecycle_testbed.observers.view import View
from ami_lifecycle_testbed.observers.violations import Violation, Violations
from aws_emulator.api.operations import ApiError, Request, Response
from aws_emulator.gateway.gateway import Gateway

_SERVICES: Final = frozenset({"ec2", "ssm", "autoscaling"})


class Observers:
    """Holds the promises.

    Args:
        view: the account.
        sources: what each environment is built from.
        items: the environments' records in the stack's table.
        is_running: whether an execution runs, by its ARN.
        is_ours: whether a caller is part of the stack.
        is_forced: whether whoever started an execution wanted this build whatever is published.
        unverified: environments whose settings switch verification off.
        hooked: environments whose settings have hooks for the canary.
        protects_instances: the settings count running instances as uses.
    """

    def __init__(
        self,
        view: View,
        elapsed: Callable[[], float],
        *,
        sources: Mapping[str, Source],
        items: Callable[[], Mapping[str, Mapping[str, Any]]],
        is_running: Callable[[str], bool],
        is_ours: Callable[[str], bool],
        is_forced: Callable[[str], bool] = lambda _arn: False,
        unverified: frozenset[str] = frozenset(),
        hooked: frozenset[str] = frozenset(),
        protects_instances: bool = False,
    ) -> None:
        self.violations = Violations(elapsed)
        self._is_ours = is_ours
        self._publication = PublicationObserver(view, self.violations, unverified, hooked)
        self._changes = ChangeObserver(view, self.violations, elapsed, protects_instances=protects_instances)
        self._remains = RemainsObserver(
            view, self.violations, sources=sources, items=items, is_running=is_running, is_forced=is_forced
        )
        self.begin()

    @property
    def created(self) -> Created:
        """Ids of what the stack has created so far."""
        return self._remains.created

    def begin(self) -> None:
        """Take the account as it is now; what is not ours in it must stay."""
        self._publication.trust_what_is_there()
        self._changes.remember_foreign()

    def attach(self, gateway: Gateway) -> None:
        """Watch the gateway's calls, nearest to the services, and serve `/_emulator/violations`."""
        gateway.middlewares.append(self.around_call)
        gateway.routes["GET", "/_emulator/violations"] = self._show

    def around_call(self, request: Request, proceed: Callable[[], Response]) -> Response:
        """Watch one call (a gateway middleware)."""
        if request.service not in _SERVICES:
            return proceed()
        ours = self._is_ours(request.caller)
        suspicions = self._changes.before(request) if ours else []
        if ours and request.service != "autoscaling":
            self.violations.note(request, by_person=False)
        elif self._changes.targets(request) or request.operation in {"PutParameter", "DeleteParameter"}:
            self.violations.note(request, by_person=True)
        try:
            response = proceed()
        except ApiError as error:
            self._changes.note_look_up(request, error.code)
            raise
        self._changes.note_look_up(request, _outcome(response))
        self._after(request, response, suspicions, ours=ours)
        return response

    def notice_event(self, event: dict[str, Any]) -> None:
        """Look again when something has changed by itself."""
        self._publication.notice_event(event)
        self._changes.notice_event(event)
        self._publication.check()

    def check_at_rest(self) -> list[Violation]:
        """Hold P4, P5 and what became of things that are not ours; all violations so far."""
        self.violations.cause = "rest"
        self._publication.check()
        self._changes.check_foreign()
        self._remains.check_leaks()
        self._remains.check_convergence()
        return self.violations.all()

    def _after(
        self, request: Request, response: Response, suspicions: list[tuple[str, str]], *, ours: bool
    ) -> None:
        for promise, what in suspicions:
            self.violations.add(promise, what)
        if ours:
            self._remains.note_created(request, response)
        else:
            for resource_id in self._changes.targets(request):
                self._changes.forget(resource_id)
                self._remains.excuse(resource_id)
        if request.operation in {"PutParameter", "DeleteParameter"}:
            name = str(request.parameters.get("Name"))
            self._publication.notice_name(name)
            if ours and request.operation == "PutParameter":
                self._publication.note_write(name, str(request.parameters.get("Value")))
            if not ours:
                self._remains.excuse(name.partition("/history/")[2])
                self._publication.excuse(name, request.parameters.get("Value"))
        self._publication.check()

    def _show(self, _body: bytes, query: dict[str, str]) -> tuple[int, Any]:
        if query.get("rest") in {"1", "true"}:
            self.check_at_rest()
        return 200, {"violations": self.violations.as_json()}


def _outcome(response: Response) -> str:
    outcome = getattr(response, "outcome", None)
    return str(outcome()) if callable(outcome) else "ok"
