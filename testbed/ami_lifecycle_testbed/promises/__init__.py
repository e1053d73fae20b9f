"""The promises P1 to P7, defined once, for every world in which the product runs.

They read the state of a world, not the product's records or answers, and share no code with it: what they
know of the product is its contract, that is names of parameters and tags. They know of no emulator either: the
emulated account and the fakes of the unit tests each give a `View` of themselves, and tell each `Act`. P1, P2, P3,
P6 and P7 are held at every change, P4 and P5 at rest. What people do is not the product's doing.
"""

from ami_lifecycle_testbed.promises.acts import Act, Effect
from ami_lifecycle_testbed.promises.checks import PromiseChecks
from ami_lifecycle_testbed.promises.publication import Verified
from ami_lifecycle_testbed.promises.view import LookUp, View
from ami_lifecycle_testbed.promises.violations import Violation

__all__ = ["Act", "Effect", "LookUp", "PromiseChecks", "Verified", "View", "Violation"]
