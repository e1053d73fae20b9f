"""What a reader of a page has before typing a block, and which blocks cannot be run here.

A block is named by its page and its first line. Shell blocks that are not named are run as they are, in the order of
the page, each with the variables and functions that those before it have set.
"""

from __future__ import annotations

from typing import Final

PAGES: Final = (
    "README.md",
    "CONTRIBUTING.md",
    "examples/README.md",
    "layers/parameter_config/README.md",
    "emulator/README.md",
    "client/README.md",
    "testbed/README.md",
)

_PINNING: Final = (
    "uv pip compile --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \\"
)
_TWO_ENVIRONMENTS: Final = "it needs a second environment; tests/workflows/test_promotion.py types the same"
_WHAT_WAITS: Final = (
    "ami-lifecycle approvals                        # what waits, how it differs from what is live"
)
_INVOKED: Final = 'aws lambda invoke --function-name "$(output DecideApprovalFunctionName)" \\'
_APPROVED: Final = "it needs a request that waits; tests/workflows/test_approval.py decides in both ways"
_AN_ALARM: Final = "it needs an alarm; tests/workflows/test_alarms.py does and types the same"
# Blocks that are not run, each with the reason.
NOT_RUN: Final = {
    ("CONTRIBUTING.md", _PINNING): "it asks a package index for the newest versions",
    ("docs/promotion.md", "ami-lifecycle promote staging prod --dry-run"): _TWO_ENVIRONMENTS,
    ("docs/promotion.md", "ami-lifecycle status"): _TWO_ENVIRONMENTS,
    ("docs/gates.md", _WHAT_WAITS): _APPROVED,
    ("docs/gates.md", _INVOKED): _APPROVED,
    ("docs/rollout.md", "ami-lifecycle status prod"): _AN_ALARM,
    (
        "docs/rollout.md",
        (
            "aws cloudwatch set-alarm-state --alarm-name prod-comfyui-errors --state-value ALARM "
            '--state-reason "a drill"'
        ),
    ): _AN_ALARM,
    (
        "docs/fleets.md",
        (
            "aws service-quotas request-service-quota-increase --service-code ebs --quota-code L-A37D9CF3 "
            "--desired-value 20000"
        ),
    ): "it asks AWS for money",
    (
        "docs/fleets.md",
        (
            "find /var/lib/docker/overlay2 /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs -type f "
            "-size +64M -print0 | xargs -0 -P 16 -n 1 cat >/dev/null"
        ),
    ): "it reads all that the machine's own Docker keeps",
}

# Languages that are looked at, not typed.
PICTURES: Final = frozenset({"mermaid", "text"})

# Pages whose reader has a deployed stack, and `prod` published in it. The others start an emulator themselves.
WITH_A_STACK: Final = frozenset(
    {"docs/deploy.md", "docs/runbook.md", "docs/configuration.md", "docs/packages.md", "client/README.md"}
)

# What the reader has or has done before the block: shell, run in the same place.
# A build that waits for its builder's agent until somebody stops it.
_RUNNING: Final = """
python -c '
import os, urllib.request
fault = b"{\\"kind\\": \\"agent_never_online\\"}"
urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/_emulator/faults", fault)
'
ami-lifecycle emulator push prod
until ami-lifecycle status prod --json | grep -q '"action": "build"'; do sleep 0.2; done
"""
# A build that has failed, and one that runs behind it.
_FAILED_AND_RUNNING: Final = """
ami-lifecycle unpin prod --yes --watch
python -c '
import os, urllib.request
fault = b"{\\"kind\\": \\"command_fails\\", \\"document\\": \\"ProvisionImage\\", \\"stderr\\": \\"no space left\\"}"
urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/_emulator/faults", fault)
'
ami-lifecycle emulator push prod
ami-lifecycle wait prod || test $? = 3
ami-lifecycle emulator push prod
until ami-lifecycle status prod --json | grep -q '"action": "build"'; do sleep 0.2; done
"""
_FIELD: Final = """grep -m1 '"{}":' | cut -d'"' -f4"""
BEFORE: Final = {
    ("CONTRIBUTING.md", "make build ARCHITECTURE=x86_64"): "echo '{}' > variables.json",
    (
        "docs/configuration.md",
        "ami-lifecycle config show                                   # every value and its source",
    ): ("for size in 150 175 200; do ami-lifecycle config set aws.ebs.size_gb $size; done"),
    ("docs/deploy.md", "aws ecr create-repository --repository-name comfyui"): (
        "aws ecr delete-repository --repository-name comfyui --force"
    ),
    (
        "docs/deploy.md",
        "REGISTRY=$(aws ecr describe-repositories --repository-names comfyui --output text \\",
    ): ("echo FROM scratch > Dockerfile"),
    (
        "docs/deploy.md",
        "aws ssm get-parameter --name /comfyui/ami/prod/latest --query Parameter.Value --output text",
    ): ("ami-lifecycle wait prod"),
    ("docs/deploy.md", 'docker build --label ami-lifecycle.commit="$(git rev-parse HEAD)" \\'): (
        "git init --quiet && git -c user.name=me -c user.email=me@example.com commit --quiet --allow-empty -m first"
    ),
    ("docs/runbook.md", 'aws ec2 disable-image-deregistration-protection --image-id "$AMI"'): (
        "AMI=$(aws ssm get-parameter --name /comfyui/ami/prod/latest --query Parameter.Value --output text)"
    ),
    ("docs/deploy.md", '.venv-build/bin/sam deploy --parameter-overrides VolumeKeyArn="$KEY_ARN"'): (
        "KEY_ARN=arn:aws:kms:us-east-1:123456789012:key/1"
    ),
    ("docs/deploy.md", "aws dynamodb list-tables --query \"TableNames[?contains(@, '-StateTable-')]\""): (
        'TABLE=$(aws dynamodb list-tables --query "TableNames[0]" --output text)'
    ),
    ("docs/runbook.md", "ami-lifecycle rollback prod --dry-run"): (
        "ami-lifecycle emulator push prod && ami-lifecycle wait prod"
    ),
    (
        "docs/runbook.md",
        "ami-lifecycle logs prod --failed  # the newest failed build: what tells of the failure",
    ): _FAILED_AND_RUNNING,
    ("docs/runbook.md", 'ami_id=$(ami-lifecycle wait prod --digest "$DIGEST" --timeout 5000)'): (
        f"DIGEST=$(ami-lifecycle status prod --json | {_FIELD.format('image_digest')})"
    ),
    ("docs/runbook.md", 'ami-lifecycle stop prod --reason "the wrong branch"'): _RUNNING,
    (
        "docs/runbook.md",
        'ami-lifecycle build prod --digest "$DIGEST" --pin --reason "hotfix until the release" --watch',
    ): f"DIGEST=$(ami-lifecycle status prod --json | {_FIELD.format('image_digest')})",
    ("docs/runbook.md", "ami-lifecycle builds prod         # ids, digests, commits, how each ended"): (
        f"BUILD=$(ami-lifecycle builds prod --json | {_FIELD.format('name')})"
    ),
}

# Blocks that end with another exit code, and what they then say.
ENDS: Final = {
    ("docs/configuration.md", "ami-lifecycle config init --dry-run    # the exact plan; writes nothing"): (
        1,
        "names the instance 'i-1234567890abcdef0', which does not exist here",
    ),
    # The reader's stack has been deployed as it comes, without lists, and dev has published nothing.
    ("docs/packages.md", "ami-lifecycle show prod --packages"): (1, "has no package list"),
    ("docs/packages.md", "ami-lifecycle diff dev prod"): (1, "nothing is live"),
    # Nor has it a Recycle Bin.
    (
        "docs/runbook.md",
        "ami-lifecycle undelete prod --dry-run            # which image, and until when its snapshots are in the bin",
    ): (1, "none has its snapshots in the Recycle Bin"),
}

# Words in a command that stand for something of the reader's.
STANDS_FOR: Final = {"BUILD": '"$BUILD"'}

# Where the reader types, if that is not a checkout of this repository.
PROJECTS: Final = {
    "docs/configuration.md": """
mkdir -p project && cp -r config/examples/fine-tune-slm project/config && cd project
printf '\\napi:\\n  key:\\n    ssm_param: /fine-tune-slm/api/key\\n    sensitive: true\\n' >> config/aws_config.yml
printf '\\napp:\\n  flags:\\n    ssm_param: /fine-tune-slm/app/flags\\n    optional: true\\n' >> config/aws_config.yml
printf s3cr3t > key.txt
echo AWS_S3_PREFIX=results > values.env
echo 'import os; print(os.environ["AWS_EC2_INSTANCE_TYPE"])' > train.py
""",
}
