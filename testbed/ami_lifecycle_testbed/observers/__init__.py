"""Observers: the promises of the product, held over the emulated account.

They tell the promises (`ami_lifecycle_testbed.promises`) what is called and what happens, and give them a view of the
account's state. Whoever calls without a role of the stack is a person.
"""

from ami_lifecycle_testbed.observers.observers import Observers

__all__ = ["Observers"]
