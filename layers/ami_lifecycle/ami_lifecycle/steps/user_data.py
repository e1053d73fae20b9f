"""What instances of a build run at their first boot, before any command can reach them."""

from __future__ import annotations

from typing import Final

from ami_lifecycle.domain.model import Role
from ami_lifecycle.steps.lookups import partition_of, region_of

# The instance ends itself when nobody else does: shutdown's behaviour is to terminate. The schedule lives
# in /run, so it is not part of an image.
# On Ubuntu the agent is a snap. A refresh restarts it, and a command that arrives then is lost; the hold ends
# by itself, and a snapd before 2.58, which knows none, must not fail the boot.
# The second line tells the unit of an image that is updated not to start the application on a builder, where that
# would fetch secrets (documents/start_programs/container_values.py).
_ALWAYS: Final = """\
#!/bin/sh
# ami-lifecycle {role}
set -e
shutdown -P +{minutes} 'ami-lifecycle: this instance has outlived its build'
timeout --kill-after=5 60 snap refresh --hold=3h amazon-ssm-agent || true
"""
# Systems Manager user guide, "Manually installing SSM Agent on EC2 instances for Linux": the Region's own bucket, and
# the names of packages. cloud-init is written in Python, so that is there where curl may not be.
# It waits for ever where nothing comes any more.
_AGENT: Final = """\
if command -v amazon-ssm-agent || snap list amazon-ssm-agent; then exit 0; fi
case $(uname -m) in aarch64) arch=arm64 ;; *) arch=amd64 ;; esac
if command -v apt-get; then file=debian_$arch/amazon-ssm-agent.deb; else file=linux_$arch/amazon-ssm-agent.rpm; fi
package=/run/${{file#*/}}
fetch='import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])'
install() {{
  timeout --kill-after=5 120 python3 -c "$fetch" "{bucket}/latest/$file" "$package" || return 1
  if command -v apt-get; then
    apt-get --quiet --yes -o DPkg::Lock::Timeout=300 install "$package"
  else
    dnf --quiet --assumeyes install "$package"
  fi
}}
for pause in 5 10 20 40 0; do
  if install; then
    rm -f "$package"
    systemctl enable --now amazon-ssm-agent
    exit 0
  fi
  sleep "$pause"
done
exit 1
"""
_SUFFIXES: Final = {"aws-cn": "amazonaws.com.cn"}


def user_data(role: Role, minutes: int, arn: str, *, installs_agent: bool) -> str:
    """The script that cloud-init runs.

    Args:
        role: what the instance is for.
        minutes: after which the instance ends itself.
        arn: any ARN of the account and Region.
        installs_agent: whether the image may have no SSM Agent, which then is installed.
    """
    text = _ALWAYS.format(role=role.value, minutes=minutes)
    if not installs_agent:
        return text
    region = region_of(arn)
    host = f"s3.{region}.{_SUFFIXES.get(partition_of(arn), 'amazonaws.com')}"
    return text + _AGENT.format(bucket=f"https://{host}/amazon-ssm-{region}")
