"""Fault injection: refused calls, lost responses, killed processes, failing resources, lost or delayed events.

Rules come as JSON, one object or a list: posted to `/_emulator/faults`, or from the file that
`emulator start --faults` names. The first rule that matches an occasion applies to it, `times` times
(null: always), after the first `skip` matching occasions, each time with `probability` (the emulator's
seed repeats the same choices). Seconds are emulated.

API calls, by `service`, `operation`, `caller` and `match`:

    error               code, message, status, when      an error, with no effect or after it
    capacity            subnet, instance_type, code      RunInstances finds no capacity there
    quota               instance_type, limit             RunInstances finds more vCPUs running than the limit allows
    initialization      limit, code                      RunInstances breaks the quota of volume initialization
    slow                seconds                          the answer takes longer
    lost                when                             the connection breaks before the answer
    killed              when                             the process that calls is gone
    hangs               when                             the process that calls stands still until its timeout
    stale                                                a read answers what it answered the time before
    repeated            apart                            the call is made twice: a task delivered twice

Resources:

    instance_dies       role, reason, after              from `pending` to `terminated`, or later
    agent_never_online  role
    agent_vanishes      role, after                      reports, and then never again
    image_fails         name, reason
    snapshot_fails      name                             the image fails with its snapshot
    value_dropped       parameter                        an `aws:ec2:image` value accepted and never applied
    command_fails       document, environment, digest, stderr, exit_code
    command_lost        document

Events and executions:

    event               source, detail_type, match, effect (lose, repeat, delay, untag), seconds
    execution_ends      state, execution, after, status  ABORTED or TIMED_OUT in a state

`service`, `operation`, `caller`, `source`, `detail_type`, `name`, `parameter`, `execution`, `subnet`,
`instance_type` and `role` may hold wildcards; `document` is part of a name; `match` holds values by
dotted path into the parameters or the detail. `when` is `before` the call takes effect or `after` it.
"""

from aws_emulator.faults.board import FaultError, Faults

__all__ = ["FaultError", "Faults"]
