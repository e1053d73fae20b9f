"""The pattern of a configuration file: what a declaration may say.

instance_id:
  ssm_param: /fine-tune-slm/ec2/instance-id
  default: i-0123456789abcdef0
  description: EC2 instance for training
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue

ValueType: TypeAlias = Literal["str", "int", "float", "bool", "list", "json"]
DataType: TypeAlias = Literal["text", "aws:ec2:image"]
Tier: TypeAlias = Literal["Standard", "Advanced", "Intelligent-Tiering"]


# `config.x.items` is the method of every mapping, so that a key of that name could not be read as an attribute.
# A test holds both sets to the classes Section and Config.
RESERVED_KEYS: Final = frozenset({"bind", "get", "items", "keys", "require", "resolve", "source", "values"})
RESERVED_PREFIXES: Final = ("__", "_abc_", "_section_")
RESERVED_NAMESPACES: Final = RESERVED_KEYS | {
    "declarations",
    "for_environment",
    "parameter_store",
    "refresh",
    "resolver",
    "secret",
}


class ParameterSchema(BaseModel):
    """One value that SSM Parameter Store holds, as a configuration file declares it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, title="Parameter")

    ssm_param: str = Field(
        description="Name of the SSM parameter. May contain {environment} and {application}.",
        examples=["/fine-tune-slm/ec2/instance-id"],
    )
    fallbacks: list[str] = Field(
        default_factory=list,
        description="Other names of parameters, read in this order where ssm_param does not exist. Never written.",
    )
    default: JsonValue = Field(default=None, description="Used where Parameter Store has no value.")
    description: str = Field(
        default="", max_length=1024, description="What the value is for, and where to find it."
    )
    type: ValueType | None = Field(
        default=None,
        description="Type of the value. Without it, the type of the default; without a default, str. "
        "A list is stored as a StringList, json as JSON text.",
    )
    allowed_pattern: str | None = Field(
        default=None, description="Regular expression that the whole stored text must match."
    )
    allowed_values: list[JsonValue] | None = Field(
        default=None, min_length=1, description="The only values that are accepted."
    )
    optional: bool = Field(
        default=False, description="It may have no value: that is no error and nothing to be set by hand."
    )
    secret: bool = Field(default=False, description="The value is the name of a Secrets Manager secret.")
    sensitive: bool = Field(default=False, description="Stored as a SecureString, and never printed.")
    data_type: DataType = Field(
        default="text",
        description="aws:ec2:image: only ids of images are taken, and EC2 resolves the parameter. For good.",
    )
    key_id: str | None = Field(
        default=None, description="KMS key of a sensitive value: id, ARN or alias; alias/aws/ssm without it."
    )
    tier: Tier = Field(
        default="Standard",
        description="Standard holds 4,096 characters, Advanced 8,192 at a price and for good.",
    )


def config_json_schema() -> dict[str, Any]:
    """Build the JSON Schema (2020-12) of a `<name>_config.yml` file, for editors and other tools."""
    parameter = ParameterSchema.model_json_schema()
    definitions = parameter.pop("$defs", {})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration file of ami-lifecycle",
        "description": "A tree of plain values and of parameters that SSM Parameter Store holds.",
        "type": ["object", "null"],
        "propertyNames": {"$ref": "#/$defs/key"},
        "additionalProperties": {"$ref": "#/$defs/node"},
        "$defs": {
            **definitions,
            "parameter": parameter,
            "key": {
                "minLength": 1,
                "not": {
                    "anyOf": [
                        {"enum": sorted(RESERVED_KEYS)},
                        {"pattern": f"^(?:{'|'.join(RESERVED_PREFIXES)})"},
                    ]
                },
            },
            "node": {
                "if": {"type": "object", "required": ["ssm_param"]},
                "then": {"$ref": "#/$defs/parameter"},
                "else": {
                    "propertyNames": {"$ref": "#/$defs/key"},
                    "additionalProperties": {"$ref": "#/$defs/node"},
                    "items": {"$ref": "#/$defs/item"},
                },
            },
            "item": {
                "if": {"type": "object", "required": ["ssm_param"]},
                "then": {"$ref": "#/$defs/parameter"},
                "else": {
                    "additionalProperties": {"$ref": "#/$defs/item"},
                    "items": {"$ref": "#/$defs/item"},
                },
            },
        },
    }
