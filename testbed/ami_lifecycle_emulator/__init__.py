"""The emulator under the name that earlier releases gave it.

It is `aws_emulator`, which knows nothing of this service, and `ami_lifecycle_testbed`, which has this service in it.
"""
