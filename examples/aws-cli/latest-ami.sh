#!/bin/sh
# The latest AMI of an environment and its metadata, as JSON: latest-ami.sh prod
#
# Exit codes: 0 found, 3 nothing is published under this name, 4 not permitted, 5 no answer, 1 anything else.
set -eu
environment=${1:-prod}
application=${APPLICATION:-comfyui}
prefix="/$application/ami/$environment"
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT

# get NAME: the value of a parameter.
get() {
    if aws ssm get-parameter --name "$1" --query Parameter.Value --output text 2>"$errors"; then
        return 0
    fi
    cat "$errors" >&2
    case $(cat "$errors") in
        *ParameterNotFound*) echo "No AMI found for environment: $environment ($1)" >&2; exit 3 ;;
        *AccessDenied* | *ExpiredToken* | *UnrecognizedClient* | *"Unable to locate credentials"*) exit 4 ;;
        *"Could not connect"* | *"timed out"* | *"timeout"*) exit 5 ;;
        *) exit 1 ;;
    esac
}

ami_id=$(get "$prefix/latest")
# The record of an image is written before `latest` names it, so it always matches.
metadata=$(get "$prefix/history/$ami_id")
printf '{"ami_id": "%s", "metadata": %s}\n' "$ami_id" "$metadata"
