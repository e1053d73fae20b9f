"""This service in an emulated AWS account, and the observers that hold its promises against it."""
