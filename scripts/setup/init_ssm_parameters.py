#!/usr/bin/env python3
"""Create the SSM parameters that `config/` declares: `ami-lifecycle config init`, under its older name.

python scripts/setup/init_ssm_parameters.py --dry-run
python scripts/setup/init_ssm_parameters.py
"""

from __future__ import annotations

import sys

from ami_lifecycle_cli.commands.config import app
from ami_lifecycle_cli.streams import prepare_streams

if __name__ == "__main__":
    prepare_streams()
    app(["init", *sys.argv[1:]], prog_name="init_ssm_parameters.py")
