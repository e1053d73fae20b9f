"""Creators of the resources that run: functions, state machines, rules and schedules."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aws_emulator.cloudformation.resources import Account, Created
from aws_emulator.cloudformation.template import TemplateError, load_yaml
from aws_emulator.gateway.identities import Identities
from aws_emulator.lambda_.functions import Function
from aws_emulator.lambda_.layers import LayerVersion
from aws_emulator.lambda_.service import AsynchronousConfiguration, Lambda, Permission

_SUBSTITUTION: Final = re.compile(r"\$\{(\w+)\}")
# A directory with this file is a layer of installed packages.
_REQUIREMENTS: Final = "requirements.txt"
# Lambda API reference, LoggingConfig.
_LOG_LEVELS: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")


class Workloads:
    """Creates what runs, from the project's own files.

    Args:
        config_directory: plays /opt for the layer whose files are not Python code; None for the
            directory that the template names.
    """

    def __init__(
        self, account: Account, functions: Lambda, identities: Identities, config_directory: Path | None
    ) -> None:
        self._account = account
        self._functions = functions
        self._identities = identities
        self._config_directory = config_directory
        self._layers: dict[str, Path] = {}

    def create_layer(self, logical_id: str, properties: dict[str, Any], source: Path | None) -> Created:
        """AWS::Lambda::LayerVersion: used from its source directory."""
        if source is None:
            raise TemplateError(f"{logical_id} has no local ContentUri")
        name = properties.pop("LayerName", None) or f"{self._account.stack_name}-{logical_id}"
        description = str(properties.pop("Description", ""))
        _drop(
            properties,
            "Content",
            "LicenseInfo",
            "CompatibleRuntimes",
            "CompatibleArchitectures",
        )
        arn = self._account.arn("lambda", f"layer:{name}:1")
        self._layers[arn] = source
        deployed = (self._config_directory or source) if _is_data(source) else source
        self._functions.layers.add(LayerVersion(arn, deployed, description))
        return Created(arn, {"LayerVersionArn": arn})

    def create_function(self, logical_id: str, properties: dict[str, Any], source: Path | None) -> Created:
        """AWS::Lambda::Function: run from its source directory."""
        if source is None or not source.is_dir():
            raise TemplateError(f"{logical_id}: there is no directory {source}")
        _drop(properties, "Code", "Tags", "EphemeralStorage", "TracingConfig", "RecursiveLoop", "KmsKeyArn")
        name = properties.pop("FunctionName", None) or self._account.name(logical_id)[:64]
        arn = self._account.arn("lambda", f"function:{name}")
        role = properties.pop("Role")
        layer_arns = tuple(properties.pop("Layers", []))
        log_group, log_level = _logging(logical_id, properties.pop("LoggingConfig", {}))
        function = Function(
            name=name,
            arn=arn,
            logical_id=logical_id,
            handler=properties.pop("Handler"),
            runtime=properties.pop("Runtime"),
            timeout_seconds=int(properties.pop("Timeout", 3)),
            memory_mb=int(properties.pop("MemorySize", 128)),
            role_arn=role,
            task_root=source,
            access_key_id=self._identities.issue(logical_id, role).access_key_id,
            layers=self._python_layers(layer_arns),
            layer_arns=layer_arns,
            opt=self._opt(layer_arns),
            environment=_variables(properties.pop("Environment", {})),
            description=properties.pop("Description", ""),
            architectures=tuple(properties.pop("Architectures", ("x86_64",))),
            reserved_concurrency=properties.pop("ReservedConcurrentExecutions", None),
            log_group=log_group,
            application_log_level=log_level,
            dead_letter_arn=properties.pop("DeadLetterConfig", {}).get("TargetArn"),
        )
        self._functions.add(function)
        return Created(name, {"Arn": arn})

    def _python_layers(self, arns: tuple[str, ...]) -> tuple[Path, ...]:
        layers = []
        for arn in arns:
            source = self._layers.get(arn)
            if source is None:
                raise TemplateError(f"the emulator does not have the layer {arn}")
            # What such a layer holds after a build is installed beside this interpreter.
            if not (source / _REQUIREMENTS).is_file() and source != self._opt_source(arns):
                layers.append(source / "python" if (source / "python").is_dir() else source)
        return tuple(layers)

    def _opt_source(self, arns: tuple[str, ...]) -> Path | None:
        sources = (self._layers.get(arn) for arn in arns)
        return next((source for source in sources if source and _is_data(source)), None)

    def _opt(self, arns: tuple[str, ...]) -> Path | None:
        source = self._opt_source(arns)
        return (self._config_directory or source) if source else None

    def create_permission(self, logical_id: str, properties: dict[str, Any], _source: Path | None) -> Created:
        """AWS::Lambda::Permission."""
        action = properties.pop("Action")
        if action not in {"lambda:InvokeFunction", "lambda:*"}:
            raise TemplateError(f"{logical_id}: the emulator does not know the action {action}")
        permission = Permission(properties.pop("Principal"), properties.pop("SourceArn", None))
        self._functions.permit(properties.pop("FunctionName"), permission)
        _drop(properties, "SourceAccount")
        return Created(self._account.name(logical_id))

    def create_invoke_config(
        self, logical_id: str, properties: dict[str, Any], _source: Path | None
    ) -> Created:
        """AWS::Lambda::EventInvokeConfig."""
        destinations = properties.pop("DestinationConfig", {})
        configuration = AsynchronousConfiguration(
            maximum_retry_attempts=int(properties.pop("MaximumRetryAttempts", 2)),
            maximum_event_age_seconds=int(properties.pop("MaximumEventAgeInSeconds", 21_600)),
            on_failure_arn=destinations.get("OnFailure", {}).get("Destination"),
            on_success_arn=destinations.get("OnSuccess", {}).get("Destination"),
        )
        self._functions.configure_asynchronous(properties.pop("FunctionName"), configuration)
        _drop(properties, "Qualifier")
        return Created(self._account.name(logical_id))

    def create_state_machine(
        self, logical_id: str, properties: dict[str, Any], source: Path | None
    ) -> Created:
        """AWS::StepFunctions::StateMachine."""
        name = properties.pop("StateMachineName", None) or self._account.name(logical_id)
        role = properties.pop("RoleArn")
        substitutions = properties.pop("DefinitionSubstitutions", {})
        _drop(properties, "DefinitionS3Location", "Tags")
        if source is not None:
            text = source.read_text(encoding="utf-8")
        else:
            text = properties.pop("DefinitionString", None) or json.dumps(properties.pop("Definition"))
        logging, tracing = (
            properties.pop("LoggingConfiguration", None),
            properties.pop("TracingConfiguration", None),
        )
        self._identities.issue(logical_id, role)
        arn = self._account.call(
            "stepfunctions",
            "CreateStateMachine",
            name=name,
            definition=json.dumps(_substitute(logical_id, text, substitutions)),
            roleArn=role,
            type=properties.pop("StateMachineType", "STANDARD"),
            loggingConfiguration=_lower(logging) if logging else None,
            tracingConfiguration=_lower(tracing) if tracing else None,
        )["stateMachineArn"]
        return Created(arn, {"Arn": arn, "Name": name})

    def create_rule(self, logical_id: str, properties: dict[str, Any], _source: Path | None) -> Created:
        """AWS::Events::Rule."""
        name = properties.pop("Name", None) or self._account.name(logical_id)[:64]
        pattern = properties.pop("EventPattern", None)
        arn = self._account.call(
            "events",
            "PutRule",
            Name=name,
            EventPattern=json.dumps(pattern) if pattern else None,
            ScheduleExpression=properties.pop("ScheduleExpression", None),
            State=properties.pop("State", None),
            Description=properties.pop("Description", None),
            EventBusName=properties.pop("EventBusName", None),
        )["RuleArn"]
        self._identities.alias(name, logical_id)
        if targets := properties.pop("Targets", None):
            role = next((target["RoleArn"] for target in targets if "RoleArn" in target), None)
            self._identities.issue(logical_id, role)
            self._account.call("events", "PutTargets", Rule=name, Targets=targets)
        return Created(name, {"Arn": arn})

    def create_schedule(self, logical_id: str, properties: dict[str, Any], _source: Path | None) -> Created:
        """AWS::Scheduler::Schedule."""
        name = properties.pop("Name", None) or self._account.name(logical_id)[:64]
        target = properties.pop("Target")
        self._identities.alias(name, logical_id)
        self._identities.issue(logical_id, target["RoleArn"])
        remaining = {key: properties.pop(key) for key in list(properties)}
        arn = self._account.call("scheduler", "CreateSchedule", Name=name, Target=target, **remaining)[
            "ScheduleArn"
        ]
        return Created(name, {"Arn": arn})


def _is_data(directory: Path) -> bool:
    """Whether a layer's directory holds files rather than Python packages."""
    packages = any((child / "__init__.py").is_file() for child in directory.iterdir() if child.is_dir())
    return not (directory / _REQUIREMENTS).is_file() and not packages and not (directory / "python").is_dir()


def _drop(properties: dict[str, Any], *names: str) -> None:
    """Take out properties that change nothing on this machine."""
    for name in names:
        properties.pop(name, None)


def _logging(logical_id: str, config: Mapping[str, Any]) -> tuple[str, str | None]:
    """Log group and application log level; the level is None for LogFormat Text.

    INFO is the default, and Text takes no level (Lambda API reference, LoggingConfig).
    """
    rest = dict(config)
    group, level = str(rest.pop("LogGroup", "")), rest.pop("ApplicationLogLevel", None)
    is_json = rest.pop("LogFormat", "Text") == "JSON"
    _drop(rest, "SystemLogLevel")
    if rest:
        raise TemplateError(f"{logical_id}: the emulator does not know LoggingConfig's {sorted(rest)}")
    if not is_json:
        if level is not None:
            raise TemplateError(f"{logical_id}: ApplicationLogLevel needs LogFormat JSON")
        return group, None
    level = str(level or "INFO")
    if level not in _LOG_LEVELS:
        raise TemplateError(
            f"{logical_id}: ApplicationLogLevel is {level}, not one of {', '.join(_LOG_LEVELS)}"
        )
    return group, level


def _variables(environment: Mapping[str, Any]) -> dict[str, str]:
    values = environment.get("Variables", {})
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in values.items()
    }


def _substitute(logical_id: str, text: str, substitutions: Mapping[str, Any]) -> Any:
    """Fill `${name}` in a definition, and parse it."""
    unknown = {name for name in _SUBSTITUTION.findall(text) if name not in substitutions}
    if unknown:
        raise TemplateError(f"{logical_id}: DefinitionSubstitutions lack {sorted(unknown)}")
    return load_yaml(_SUBSTITUTION.sub(lambda match: str(substitutions[match[1]]), text))


def _lower(value: Any) -> Any:
    """CloudFormation's member names as the Step Functions API has them."""
    if isinstance(value, list):
        return [_lower(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key[0].lower() + key[1:]: _lower(item) for key, item in value.items()}
