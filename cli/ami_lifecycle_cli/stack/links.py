"""Addresses in the AWS console, for what commands print."""

from ami_lifecycle.domain.links import execution_link, image_link, log_group_link

__all__ = ["execution_link", "image_link", "log_group_link"]
