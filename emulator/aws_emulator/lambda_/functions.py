"""Configuration of a deployed function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

OPT = "/opt"


@dataclass(frozen=True)
class Function:
    """A function's configuration.

    Attributes:
        logical_id: its name in the template, which is also its name in the call log.
        task_root: directory that plays /var/task.
        layers: directories on `sys.path` behind the task root.
        opt: directory that plays /opt, for layers that are not Python code.
        timeout_seconds: seconds of this machine, whatever the time scale.
        access_key_id: signs the function's calls.
        application_log_level: least level that is logged; None with LogFormat Text, which has no levels.
    """

    name: str
    arn: str
    logical_id: str
    handler: str
    runtime: str
    timeout_seconds: int
    memory_mb: int
    role_arn: str
    task_root: Path
    access_key_id: str
    layers: tuple[Path, ...] = ()
    layer_arns: tuple[str, ...] = ()
    opt: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    architectures: tuple[str, ...] = ("x86_64",)
    reserved_concurrency: int | None = None
    log_group: str = ""
    application_log_level: str | None = None
    dead_letter_arn: str | None = None

    @property
    def group(self) -> str:
        """The log group that it writes to."""
        return self.log_group or f"/aws/lambda/{self.name}"

    @property
    def logging_config(self) -> dict[str, str]:
        """LoggingConfig as the Lambda API shows it."""
        group = {"LogGroup": self.group}
        if self.application_log_level is None:
            return {"LogFormat": "Text", **group}
        return {"LogFormat": "JSON", "ApplicationLogLevel": self.application_log_level, **group}

    def environment_variables(self, region: str, endpoint_url: str) -> dict[str, str]:
        """The environment of a process, as Lambda sets it (Developer Guide, environment variables)."""
        declared = {key: self._rewrite(value) for key, value in self.environment.items()}
        return {
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": "emulated",
            "AWS_SESSION_TOKEN": "emulated",
            **declared,
            "_HANDLER": self.handler,
            "AWS_DEFAULT_REGION": region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{self.runtime}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.memory_mb),
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": self.logging_config["LogGroup"],
            **self._log_variables(),
            "AWS_LAMBDA_LOG_STREAM_NAME": "emulator",
            "AWS_REGION": region,
            "LAMBDA_TASK_ROOT": str(self.task_root),
            "LANG": "en_US.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": ":".join(str(layer) for layer in self.layers),
            "TZ": ":UTC",
        }

    def _log_variables(self) -> dict[str, str]:
        """What the runtime interface client and Powertools read (awslambdaric, bootstrap)."""
        if self.application_log_level is None:
            return {"AWS_LAMBDA_LOG_FORMAT": "Text"}
        return {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": self.application_log_level}

    def _rewrite(self, value: str) -> str:
        """A path in a layer, moved to where the layer's files are on this machine."""
        if self.opt is not None and (value == OPT or value.startswith(OPT + "/")):
            return str(self.opt) + value[len(OPT) :]
        return value
