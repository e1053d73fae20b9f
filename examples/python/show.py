"""The latest AMI of an environment, with the consumer library: `python show.py prod`."""

from __future__ import annotations

import os
import sys

from ami_lifecycle.client import AmiLookupError, get_latest_ami


def main(environment: str) -> int:
    """Print the latest image; returns the exit code."""
    try:
        ami_id, metadata = get_latest_ami(environment, os.environ.get("AWS_REGION", "us-east-1"))
    except AmiLookupError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    print(f"Latest AMI: {ami_id}")
    print(f"Docker image: {metadata['docker_image']}")
    print(f"Commit: {metadata['commit_sha'] or 'unknown'}")
    print(f"Created: {metadata['creation_date']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "prod"))
