"""Configuration: YAML in git says what exists, SSM Parameter Store holds the values.

from parameter_config import load_config

config = load_config(config_dir="config", ssm_client=ssm_client)
config.get("aws.ec2.instance_id")
"""

from parameter_config.errors import ConfigError, MissingValueError
from parameter_config.loader import Config, Section, load_config
from parameter_config.resolution import Source
from parameter_config.sensitive import Sensitive

__all__ = ["Config", "ConfigError", "MissingValueError", "Section", "Sensitive", "Source", "load_config"]
