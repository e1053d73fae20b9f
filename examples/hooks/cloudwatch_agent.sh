#!/bin/bash
# Hook for `provision` on Ubuntu: installs the CloudWatch agent, once, and has it start at boot with the configuration in
# Parameter Store that CONFIGURATION names. The role of your instances needs CloudWatchAgentServerPolicy; the builder needs
# nothing.
set -euo pipefail
: "${CONFIGURATION:?set parameters.CONFIGURATION to the name of a parameter, as AmazonCloudWatch-fleet}"
if ! dpkg --status amazon-cloudwatch-agent >/dev/null 2>&1; then
  package=$(mktemp --suffix .deb)
  trap 'rm -f "$package"' EXIT
  address=https://amazoncloudwatch-agent-$AMI_LIFECYCLE_REGION.s3.$AMI_LIFECYCLE_REGION.amazonaws.com
  curl --fail --silent --show-error --retry 5 --output "$package" \
    "$address/ubuntu/$(dpkg --print-architecture)/latest/amazon-cloudwatch-agent.deb"
  dpkg --install "$package"
fi
cat >/etc/systemd/system/fleet-metrics.service <<UNIT
[Unit]
Description=Fetch the CloudWatch agent's configuration, and start it
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s -c ssm:$CONFIGURATION

[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
# Not started here: the builder's own id must not be in the image.
systemctl enable fleet-metrics.service
