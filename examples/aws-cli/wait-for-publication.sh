#!/bin/sh
# Wait until a Docker image is published as an AMI for good: wait-for-publication.sh prod sha256:... [timeout in seconds]
#
# Prints the id of the AMI. Exit codes: 0 published, 1 the build failed, 2 wrong use, 124 it took too long.
# For pipelines without Python; where it is, `ami-lifecycle wait` tells more outcomes apart.
set -eu
if [ $# -lt 2 ]; then
    echo "use: $0 ENVIRONMENT DIGEST [SECONDS]" >&2
    exit 2
fi
environment=$1 digest=$2 seconds=${3:-3600}
application=${APPLICATION:-comfyui}
stack=${AMI_LIFECYCLE_STACK:-ami-lifecycle}
pause=${POLL_SECONDS:-15}
end=$(($(date +%s) + seconds))

machine=$(aws cloudformation describe-stacks --stack-name "$stack" \
    --query "Stacks[0].Outputs[?OutputKey=='StateMachineArn'].OutputValue" --output text)

# failures: ARNs of the last executions that failed, one to a line.
failures() {
    aws stepfunctions list-executions --state-machine-arn "$machine" --status-filter FAILED --max-items 20 \
        --query 'executions[].executionArn' --output text | tr '\t' '\n' | grep '^arn:' || true
}
before=$(failures)

# failed: error and cause of an execution that failed since we began, and that was started by the push of this
# digest, or from the environment's queue.
failed() {
    for arn in $(failures); do
        case $before in *"$arn"*) continue ;; esac
        if aws stepfunctions describe-execution --execution-arn "$arn" --query input --output text |
            grep -q -e "$digest" -e "\"environment\": *\"$environment\""; then
            aws stepfunctions describe-execution --execution-arn "$arn" --query '[error, cause]' --output text
        fi
    done
}

# latest: the id that consumers read now; nothing before the first publication.
latest() {
    aws ssm get-parameter --name "/$application/ami/$environment/latest" \
        --query Parameter.Value --output text 2>/dev/null || true
}

# is_final AMI: whether no other image takes its place. A candidate is `latest` for about a minute, until the image with
# the constant name is; it stays only where the old image still has that name. So its execution must have ended, and
# `latest` must name it still, or again.
is_final() {
    found=$(aws ec2 describe-images --image-ids "$1" --query \
        "Images[0].[Name, Tags[?Key=='ami-lifecycle:execution'].Value | [0]]" --output text 2>/dev/null) || return 1
    case $found in
        *.candidate.*) ;;
        '' | None*) return 1 ;;
        *) return 0 ;;
    esac
    status=$(aws stepfunctions describe-execution --execution-arn "$(printf '%s' "$found" | cut -f 2)" \
        --query status --output text)
    [ "$status" != RUNNING ] && [ "$(latest)" = "$1" ]
}

while [ "$(date +%s)" -lt "$end" ]; do
    # The answer is empty before the first publication.
    metadata=$(aws ssm get-parameter --name "/$application/ami/$environment/metadata" \
        --query Parameter.Value --output text 2>/dev/null || true)
    case $metadata in
        *"\"image_digest\":\"$digest\""* | *"\"image_digest\": \"$digest\""*)
            # Metadata is written a moment before `latest`.
            ami_id=$(printf '%s' "$metadata" | sed -n 's/.*"ami_id": *"\(ami-[0-9a-f]*\)".*/\1/p')
            if [ -n "$ami_id" ] && [ "$ami_id" = "$(latest)" ] && is_final "$ami_id"; then
                echo "$ami_id"
                exit 0
            fi
            ;;
    esac
    problem=$(failed)
    if [ -n "$problem" ]; then
        echo "The build failed: $problem" >&2
        exit 1
    fi
    sleep "$pause"
done
echo "$digest was not published in $environment within $seconds s; see: ami-lifecycle status $environment" >&2
exit 124
