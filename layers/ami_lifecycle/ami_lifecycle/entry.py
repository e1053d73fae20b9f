"""The Lambda handler around each step: parse the input, log, call the step, dump the result."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, TypeVar

from aws_lambda_powertools.logging import Logger
from pydantic import BaseModel, ValidationError

from ami_lifecycle.adapters.process import current_process
from ami_lifecycle.domain.requests import explain
from ami_lifecycle.errors import AmiLifecycleError, InvalidRequestError
from ami_lifecycle.function_environment import FunctionEnvironment
from ami_lifecycle.metrics import Metric, metrics_of

_Input = TypeVar("_Input")
_Model = TypeVar("_Model", bound=BaseModel)
Step = Callable[[_Input, datetime], BaseModel | None]
LambdaHandler = Callable[[Any, Any], Any]

logger = Logger()
# At DEBUG Lambda lowers the root logger, and the SDK would log its signed requests with the session token.
for _name in ("boto3", "botocore", "urllib3"):
    logging.getLogger(_name).setLevel(logging.INFO)


def environment() -> FunctionEnvironment:
    """The environment variables that the stack gave to this function."""
    return FunctionEnvironment.model_validate(dict(current_process().variables()))


def parsed_by(model: type[_Model]) -> Callable[[Any], _Model]:
    """A parser of one contract, whose errors name field and value."""

    def parse(event: Any) -> _Model:
        try:
            return model.model_validate(event)
        except ValidationError as error:
            raise InvalidRequestError(
                f"the input is not a {model.__name__}: {explain(error)}; events/ has a valid one for each function"
            ) from error

    return parse


def lambda_handler(parse: Callable[[Any], _Input]) -> Callable[[Step[_Input]], LambdaHandler]:
    """Make a Lambda handler of a step: `handler(event, context)` around `step(input, deadline)`.

    `deadline` is when Lambda ends the invocation. Errors are logged with the execution's ids and raised again: Step
    Functions matches them by class name.
    """

    def decorate(step: Step[_Input]) -> LambdaHandler:
        @wraps(step)
        def handler(event: Any, context: Any) -> Any:
            logger.append_keys(**_ids(event), request_id=getattr(context, "aws_request_id", None))
            deadline = current_process().now() + timedelta(
                milliseconds=context.get_remaining_time_in_millis()
            )
            try:
                result = step(parse(event), deadline)
            except AmiLifecycleError as error:
                logger.warning(str(error), error=type(error).__name__)
                raise
            except Exception:
                logger.exception("an error that this service does not name")
                raise
            output = None if result is None else result.model_dump(mode="json")
            logger.info("done", output=output)
            _emit_metrics(metrics_of(result))
            return output

        return handler

    return decorate


def _emit_metrics(metrics: Sequence[Metric]) -> None:
    """Write metrics to the log in the embedded metric format, from which CloudWatch takes them."""
    if not metrics:
        return
    # Most steps emit no metric, and should not pay for the import at their start.
    from aws_lambda_powertools.metrics import EphemeralMetrics  # noqa: PLC0415

    emitter = EphemeralMetrics()
    for metric in metrics:
        emitter.add_metric(name=metric.name, unit=metric.unit.value, value=metric.value)
    emitter.flush_metrics()


def _ids(event: Any) -> dict[str, str | None]:
    if not isinstance(event, dict):
        return {"execution_arn": None, "environment": None}
    detail = event.get("detail")
    plan = event.get("plan")
    arn = event.get("execution_arn") or (detail.get("executionArn") if isinstance(detail, dict) else None)
    return {
        "execution_arn": arn,
        "environment": plan.get("environment") if isinstance(plan, dict) else None,
    }
