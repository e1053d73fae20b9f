"""What can go wrong with machines.

ProvisioningError
    MissingRequirementsError    the host lacks what machines need
    CommandError                a tool of the host failed
    RegistryError               the registry does not run
    MachineError                a machine did not do what it was told
"""


class ProvisioningError(RuntimeError):
    """Something that has to do with machines; the message says what."""


class MissingRequirementsError(ProvisioningError):
    """This host lacks what machines need; the message says what."""


class CommandError(ProvisioningError):
    """A tool of the host failed; the message has its last words."""


class RegistryError(ProvisioningError):
    """The registry does not run."""


class MachineError(ProvisioningError):
    """A machine did not do what it was told; the message says which and what."""
