"""Observers: the promises of the product, held against the emulated account itself.

They read the account's state, not the product's records or answers, and share no code with it: what they
know of the product is its contract, that is names of parameters and tags. P1, P2, P3 and P6 are held at
every change, P4 and P5 at rest. What people do to the account is not the product's doing: whoever calls
without a role of the stack is a person.
"""

from ami_lifecycle_testbed.observers.observers import Observers
from ami_lifecycle_testbed.observers.violations import Violation

__all__ = ["Observers", "Violation"]
