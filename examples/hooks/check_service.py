#!/usr/bin/env python3
"""Hook for `verify`: units that are active, ports that are listened on, files that are there; as goss checks them.

It changes nothing, and exits with the number of findings.
"""

import os
import pathlib
import socket
import subprocess
import sys

findings = []
for unit in os.environ.get("UNITS", "").split():
    command = ["systemctl", "is-active", unit]
    state = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if state.stdout.strip() != "active":
        findings.append(f"the unit {unit} is {state.stdout.strip() or 'unknown'}, not active")
for port in os.environ.get("PORTS", "").split():
    with socket.socket() as connection:
        connection.settimeout(5)
        if connection.connect_ex(("127.0.0.1", int(port))) != 0:
            findings.append(f"nothing listens on port {port}")
names = os.environ.get("FILES", "").split()
findings += [f"{name} does not exist" for name in names if not pathlib.Path(name).exists()]
print(*findings or ["all is as it must be"], sep="\n")
sys.exit(min(len(findings), 100))
