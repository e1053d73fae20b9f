"""The configuration library under the name that the configuration guide gives it.

    from ami_lifecycle.config import load_config

It is `parameter_config`, which other projects can use without this service.
"""

from parameter_config import Config, ConfigError, MissingValueError, Section, Sensitive, Source, load_config

__all__ = ["Config", "ConfigError", "MissingValueError", "Section", "Sensitive", "Source", "load_config"]
