"""The environment variables of the functions."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FunctionEnvironment(BaseModel):
    """Environment variables that template.yaml gives to functions; each function reads those it has."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    TABLE_NAME: str = ""
    CONFIG_DIR: str = ""
    APPLICATION: str = ""
    SUBNET_IDS: str = ""
    SECURITY_GROUP_ID: str = ""
    INSTANCE_PROFILE_ARN: str = ""
    VOLUME_KEY_ARN: str = ""
    DOCUMENT_NAME: str = ""
    COMMAND_LOG_GROUP: str = ""
    OUTCOME_TOPIC_ARN: str = ""
    STATE_MACHINE_ARN: str = ""
    PACKAGE_BUCKET: str = ""
    AWS_REGION: str = ""

    @property
    def subnet_ids(self) -> tuple[str, ...]:
        """The stack's subnets."""
        return tuple(part.strip() for part in self.SUBNET_IDS.split(",") if part.strip())
