"""The consumer client under the name that earlier releases gave it; it is `ami_lifecycle_client`."""

from ami_lifecycle_client import *  # noqa: F403 - whatever it names in __all__
