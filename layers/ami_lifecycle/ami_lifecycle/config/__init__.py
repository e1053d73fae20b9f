"""Configuration: YAML in git says what exists, SSM Parameter Store holds the values.

from ami_lifecycle.config import load_config

config = load_config(config_dir="config", ssm_client=ssm_client)
config.get("aws.ec2.instance_id")
"""

from ami_lifecycle.config.errors import ConfigError, MissingValueError
from ami_lifecycle.config.loading import Config, Section, load_config
from ami_lifecycle.config.resolution import Source
from ami_lifecycle.config.sensitive import Sensitive

__all__ = ["Config", "ConfigError", "MissingValueError", "Section", "Sensitive", "Source", "load_config"]
