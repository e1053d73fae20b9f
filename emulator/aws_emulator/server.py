"""The emulator: an emulated account with a project's stack deployed, served on 127.0.0.1."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from aws_emulator.account import ACCOUNT_ID, REGION, Network, prepare_account
from aws_emulator.alarms import AlarmStates
from aws_emulator.api.disruptions import Disruption, ProcessHangs, ProcessKilled
from aws_emulator.api.operations import ApiError, handlers_of
from aws_emulator.api.strict_json import strict_json
from aws_emulator.auto_scaling import AutoScaling
from aws_emulator.clock import Clock
from aws_emulator.cloudformation.resources import Account
from aws_emulator.cloudformation.stack import Stack
from aws_emulator.cloudformation.template import TemplateError, load_template
from aws_emulator.cloudformation.workloads import Workloads
from aws_emulator.durations import Durations
from aws_emulator.ec2 import Ec2Store, ec2_operations
from aws_emulator.ecr import Registry
from aws_emulator.eventbridge.bus import EventBus
from aws_emulator.eventbridge.delivery import Delivery
from aws_emulator.eventbridge.rules import Rules
from aws_emulator.eventbridge.scheduler import Scheduler
from aws_emulator.faults import Faults
from aws_emulator.gateway.api import Api
from aws_emulator.gateway.calls import CallLog
from aws_emulator.gateway.gateway import Gateway
from aws_emulator.gateway.http_server import HttpServer
from aws_emulator.gateway.identities import CLIENT, Identities
from aws_emulator.gateway.json_answers import JsonAnswers
from aws_emulator.gateway.moto_backend import MotoAccount
from aws_emulator.gateway.xml_answers import as_recorded
from aws_emulator.iam.account import AccountView
from aws_emulator.iam.enforcement import ASSUMING_SERVICES, Enforcement, answers_as_json
from aws_emulator.iam.sessions import Sessions
from aws_emulator.lambda_.layers import DOWNLOAD_PATH
from aws_emulator.lambda_.pool import Runtime
from aws_emulator.lambda_.service import Lambda
from aws_emulator.lambda_.workflow_invoker import WorkflowInvoker
from aws_emulator.logs import Logs
from aws_emulator.logs.store import Line
from aws_emulator.project import Project
from aws_emulator.s3 import S3, Buckets
from aws_emulator.ssm import ParameterStore, ResourceTags, RunCommand
from aws_emulator.ssm.command_logs import CommandLogs
from aws_emulator.ssm.parameters import ParameterTable
from aws_emulator.step_functions.execution import Execution
from aws_emulator.step_functions.service import StepFunctions

_TEMPLATE: Final = "template.yaml"
# The signal to the function process for each disruption. A stopped process is killed at its timeout.
_SIGNALS: Final = {ProcessKilled: signal.SIGKILL, ProcessHangs: signal.SIGSTOP}


class EmulatorError(RuntimeError):
    """The emulator cannot be started; the message says why."""


class Emulator:
    """An emulated AWS account with a project's stack.

    Use it as a context manager, or call `start` and `stop`. A process can run several; each is an account of its own.

    Args:
        project: directory of `template.yaml`, or a `Project` that brings more.
        port: of 127.0.0.1; 0 for any free one.
        time_scale: seconds of this machine for one emulated second.
        durations: how long things take in the account.
        seed: makes what is random repeatable (retry jitter).
        config_dir: another directory in the place of the configuration layer.
        function_endpoint_url: what the functions use as AWS endpoint, for a proxy in between.
        parameters: template parameters that differ from their defaults.
        enforce_permissions: hold every call of a function, state machine, rule, schedule or instance against
            its role. Others are administrators.
        log_level: level of the package's logger; `debug` shows the functions' output.

    Attributes:
        project: what is emulated beside AWS.
        durations: how long things take in the account.
        config_dir: the directory in the place of the configuration layer, if there is one.
        endpoint_url: the AWS endpoint for all services, once started.
        identities: the callers of the account.
        calls: every API call.
        moto: what moto keeps of the account.
        state_taps: called whenever an execution has entered a state.
        enforcement: the check of permissions, which remembers every question that was asked.
        ec2: what EC2 has; all of it is under its lock.
        buckets: what S3 has; all of it is under its lock.
        auto_scaling, parameter_store, run_command, registry, step_functions, functions, rules, scheduler:
            the emulated services, for tests that need more than the API shows.
    """

    def __init__(
        self,
        project: Project | Path | str,
        *,
        port: int = 0,
        time_scale: float = 1.0,
        durations: Durations | None = None,
        seed: int | None = None,
        config_dir: Path | str | None = None,
        function_endpoint_url: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        enforce_permissions: bool = True,
        log_level: str = "warning",
    ) -> None:
        self.project = project if isinstance(project, Project) else Project(project)
        self.region = REGION
        self.account_id = ACCOUNT_ID
        self.stack_name = self.project.stack_name
        self.endpoint_url = ""
        self.identities = Identities()
        self.calls = CallLog()
        self._port = port
        self._time_scale = time_scale
        self.durations = durations or self.project.durations()
        self._seed = seed
        self.config_dir = Path(config_dir).resolve() if config_dir is not None else None
        self._function_endpoint_url = function_endpoint_url
        self._parameters = dict(parameters or {})
        self._enforce_permissions = enforce_permissions
        self._log_level = log_level.upper()
        self._cleanup = ExitStack()
        self.state_taps: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Create the account, deploy the stack, and serve.

        Raises:
            PortInUseError: something else listens on the port.
            TemplateError: the stack cannot be deployed.
        """
        try:
            logging.getLogger("aws_emulator").setLevel(self._log_level)
            self._start_platform()
            self._start_services()
            self._serve()
            self._deploy()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop serving; all threads and processes end."""
        self._cleanup.close()

    @property
    def state_machine_arn(self) -> str:
        """The stack's state machine; the first if there are several."""
        return next(iter(self.stack.physical_ids("AWS::StepFunctions::StateMachine").values()), "")

    @property
    def ready(self) -> dict[str, Any]:
        """The members of the ready line."""
        return {
            "endpoint_url": self.endpoint_url,
            "region": self.region,
            "account_id": self.account_id,
            "state_machine_arn": self.state_machine_arn,
            "stack_name": self.stack_name,
            **self.project.describe(),
        }

    def _start_platform(self) -> None:
        self._http = HttpServer(self._port)
        self._cleanup.callback(self._http.close)
        self.endpoint_url = self._http.url
        # The zygote loads its modules while the rest starts.
        self.clock = Clock(self._time_scale)
        self._cleanup.callback(self.clock.close)
        self.runtime = Runtime(self.region, self._function_endpoint_url or self.endpoint_url, self.clock)
        self._cleanup.callback(self.runtime.close)

    def _start_services(self) -> None:
        self.moto = MotoAccount(self.account_id, self.region)
        self._cleanup.callback(self.moto.close)
        place: dict[str, Any] = {"account_id": self.account_id, "region": self.region}
        self.faults = Faults(self.clock, self._seed)
        self.bus = EventBus(self.clock, **place, deliveries=self.faults.deliveries)
        self.ec2 = Ec2Store(
            self.clock,
            self.bus,
            self.durations,
            moto=self.moto,
            faults=self.faults,
            role_tag=self.project.role_tag,
            **place,
        )
        parameters = ParameterTable()
        self.buckets = Buckets()
        account = AccountView(self.account_id, self.region, self.ec2, parameters, self.moto, self.buckets)
        self.enforcement = Enforcement(account, self.identities, enabled=self._enforce_permissions)
        self.parameter_store = ParameterStore(
            self.clock,
            self.bus,
            self.durations,
            self.ec2,
            table=parameters,
            can_describe_images=self._can_describe_images,
            read_secret=self._read_secret,
            **place,
        )
        self.auto_scaling = AutoScaling(self.ec2, self.parameter_store)
        self.bus.taps.append(self.auto_scaling.notice_event)
        self.registry = Registry(self.clock, self.bus, **place)
        account.has_enhanced_scanning = self.registry.has_enhanced_scanning
        self.logs = Logs(self.clock, pending=lambda: self._function_lines(self.runtime.take_lines()), **place)
        command_logs = CommandLogs(self.logs, self.enforcement.may_write_command_log)
        self.run_command = RunCommand(
            self.clock,
            self.bus,
            self.durations,
            self.ec2,
            self.project.provisioner(self, self._cleanup),
            deliver_output=command_logs.deliver,
            **place,
        )
        self.gateway = self._make_gateway()
        self.api = self._make_api()
        self._start_event_services()

    def _make_gateway(self) -> Gateway:
        services = (
            *ec2_operations(
                self.ec2,
                self.parameter_store,
                agent_may_report=self.enforcement.agent_may_report,
                refused_key=self.enforcement.refused_key,
                may_delete_snapshot=self._may_delete_snapshot,
            ),
            self.auto_scaling,
            self.registry,
            self.parameter_store,
            self.run_command,
            self.logs,
            S3(self.clock, self.buckets),
            ResourceTags(self.parameter_store, self.run_command),
        )
        return Gateway(
            handlers_of(*services),
            self.moto,
            self.clock,
            self.calls,
            self.account_id,
            self.region,
            self.identities.caller_of,
            # Permissions are checked before faults apply.
            middlewares=(
                self.enforcement,
                self.faults.around_call,
                Sessions(self.moto),
                as_recorded,
                JsonAnswers(),
                AlarmStates(self.clock, self.bus, self.moto).around_call,
            ),
            routes={
                **self.faults.routes(),
                **self.registry.routes(),
                ("GET", "/_emulator/permissions"): self._show_permissions,
                ("GET", "/_emulator/logs"): self._show_logs,
                ("GET", DOWNLOAD_PATH): self._download_layer,
                ("POST", "/_emulator/schedule/fire"): self._fire_schedule,
                ("POST", "/_emulator/events"): self._deliver_event,
            },
        )

    def _make_api(self) -> Api:
        return Api(self.gateway, self.identities, self.endpoint_url, self.region)

    def _start_event_services(self) -> None:
        place = (self.account_id, self.region)
        delivery = Delivery(self.clock, self.api, self._permits)
        self._cleanup.callback(delivery.close)
        self.functions = Lambda(self.clock, self.runtime, delivery.send, self.endpoint_url)
        self.step_functions = StepFunctions(
            self.clock,
            self.bus,
            *place,
            invoke=WorkflowInvoker(self.gateway, self.clock),
            caller_of=self._name_of_role,
            seed=self._seed,
            on_state=self._notice_state,
        )
        self._cleanup.callback(self.step_functions.close)
        self.rules = Rules(self.clock, self.bus, *place, delivery=delivery, identities=self.identities)
        self.scheduler = Scheduler(self.clock, *place, delivery, self.identities)
        self.gateway.serve(
            self.functions, self.functions.layers, self.step_functions, self.rules, self.scheduler
        )

    def _notice_state(self, execution: Execution, state: str) -> None:
        self._end_by_fault(execution, state)
        for tap in self.state_taps:
            tap()

    def _end_by_fault(self, execution: Execution, state: str) -> None:
        fault = self.faults.execution(execution.name, state)
        if fault is None:
            return

        def end() -> None:
            if fault.status == "ABORTED":
                execution.abort(None, None)
            else:
                execution.time_out()

        if fault.after > 0:
            self.clock.call_later(fault.after, end)
        else:
            end()

    def _serve(self) -> None:
        self._http.serve(self._serve_request)

    def _serve_request(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            return self.gateway(environ, start_response)
        except Disruption as disruption:
            if (number := _SIGNALS.get(type(disruption))) is not None:
                self.runtime.signal(environ.get("HTTP_X_AMZN_TRACE_ID", ""), number)
            raise ConnectionAbortedError(disruption.outcome) from disruption

    def _deploy(self) -> None:
        network = prepare_account(self.api, self.ec2, self.parameter_store)
        self.project.prepare(self)
        self.stack = self._make_stack(network)
        self.stack.deploy()
        self._check_trust()
        self.gateway.serve(self.stack)
        self.project.deployed(self)

    def _make_stack(self, network: Network) -> Stack:
        self.account = Account(self.api, self.account_id, self.region, self.stack_name)
        return Stack(
            load_template(self.project.directory / _TEMPLATE, self.region),
            self.account,
            Workloads(self.account, self.functions, self.identities, self.config_dir),
            self.clock,
            values=self._parameters,
            network=network.parameter_values(),
            zones=list(network.zones),
        )

    def _check_trust(self) -> None:
        """Refuse roles that the services cannot assume, as they do when they are given the role."""
        for kind, principal in ASSUMING_SERVICES.items():
            for logical_id in self.stack.physical_ids(kind):
                role = self.identities.role_of(logical_id)
                try:
                    if role is not None:
                        self.enforcement.require_trust(role, principal)
                except ApiError as error:
                    raise TemplateError(f"{logical_id} ({kind}) cannot be created: {error}") from error

    def _permits(self, arn: str, principal: str, source_arn: str) -> bool:
        if ":function:" in arn:
            return self.functions.permits(arn, principal, source_arn)
        return self.enforcement.queue_admits(arn, principal, source_arn)

    def _read_secret(self, caller: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.api.call(caller, "secretsmanager", "GetSecretValue", parameters)

    def _may_delete_snapshot(self, caller: str, snapshot_id: str) -> bool:
        return self.enforcement.permits(caller, "ec2", "DeleteSnapshot", {"SnapshotId": snapshot_id})

    def _can_describe_images(self, caller: str) -> bool:
        return self.enforcement.allows(caller, "ec2:DescribeImages")

    def _show_permissions(self, _body: bytes, _query: dict[str, str]) -> tuple[int, Any]:
        return 200, answers_as_json(self.enforcement.answers())

    def _name_of_role(self, role_arn: str) -> str:
        names = self.identities.names_of_role(role_arn)
        return names[0] if names else CLIENT

    def _download_layer(self, _body: bytes, query: dict[str, str]) -> tuple[int, Any]:
        return self.functions.layers.download(query)

    def _function_lines(self, lines: Iterable[Line]) -> Iterator[tuple[str, str, Line]]:
        """Lines of functions with the group and the stream that they belong to.

        Without the permission nothing reaches CloudWatch Logs, and nobody is told.
        """
        functions = {function.logical_id: function for function in self.functions.functions()}
        for line in lines:
            function = functions[line.source]
            if self.enforcement.may_write_log(function.role_arn, function.group):
                # Lambda developer guide, Log stream names of a custom log group.
                yield function.group, f"{line.time:%Y/%m/%d}/{function.name}[$LATEST]", line

    def _show_logs(self, _body: bytes, query: dict[str, str]) -> tuple[int, Any]:
        name = query.get("function", "")
        for function in self.functions.functions():
            if name in {function.name, function.logical_id}:
                # Without the permission nothing reaches CloudWatch Logs, and nobody is told.
                shown = self.enforcement.may_write_log(function.role_arn, function.group)
                lines = self.runtime.logs(function.logical_id) if shown else []
                return 200, {"function": function.logical_id, "lines": lines}
        names = [function.logical_id for function in self.functions.functions()]
        return 404, {"error": f"there is no function '{name}'", "functions": names}

    def _deliver_event(self, body: bytes, _query: dict[str, str]) -> tuple[int, Any]:
        """Deliver an event of an AWS service, which nobody else may put: one that was lost, or comes late."""
        try:
            content = strict_json(body)
            event = self.bus.event(
                str(content["source"]),
                str(content["detail-type"]),
                dict(content["detail"]),
                [str(each) for each in content.get("resources", ())],
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            problem = f"an event is a JSON object with source, detail-type and detail: {error!r}"
            return 400, {"error": problem}
        self.bus.deliver(event)
        return 202, {"id": event["id"]}

    def _fire_schedule(self, _body: bytes, query: dict[str, str]) -> tuple[int, Any]:
        requested = query.get("name", "")
        name = self.stack.physical_ids("AWS::Scheduler::Schedule").get(requested, requested)
        if self.scheduler.fire(name):
            return 202, {"fired": name}
        return 404, {"error": f"there is no schedule '{name}'", "schedules": self.scheduler.names()}
