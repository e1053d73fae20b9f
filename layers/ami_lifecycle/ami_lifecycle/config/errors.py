"""The errors of `parameter_config`, under the name that earlier releases gave the module."""

from parameter_config.errors import *  # noqa: F403 - whatever is there
