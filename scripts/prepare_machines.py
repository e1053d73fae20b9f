"""Make this host ready for machines that run the documents for real, or say what is missing.

On Debian and Ubuntu, as root, it installs the packages that are missing; elsewhere it only names them. The
base image itself is made at the first use, and kept in the user's cache directory.
"""

import os
import shutil
import subprocess
import sys

from aws_emulator.machines.requirements import missing_packages, missing_requirements


def main() -> None:
    """Install what can be installed; exit with the reasons if something is still missing."""
    packages = missing_packages()
    if packages and shutil.which("apt-get") and os.geteuid() == 0:
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        apt = ["apt-get", "--quiet", "--yes"]
        subprocess.run([*apt, "update"], check=True, env=quiet)  # noqa: S603 - fixed words
        install = [*apt, "install", "--no-install-recommends", *packages]
        subprocess.run(install, check=True, env=quiet)  # noqa: S603 - package names of ours
    if reasons := missing_requirements():
        sys.exit("machines cannot run here: " + "; ".join(reasons))


if __name__ == "__main__":
    main()
