"""CloudWatch: states of alarms, and the events of their changes."""

from __future__ import annotations

import re
from typing import Any

from emulator.tests.contract.account import Account
from emulator.tests.contract.asserting import refused

CHANGE = "CloudWatch Alarm State Change"
ALARM = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:errors"


def put(cloudwatch: Any, name: str = "errors", **changes: Any) -> None:
    metric = {
        "Namespace": "AWS/ApplicationELB",
        "MetricName": "HTTPCode_Target_5XX_Count",
        "Dimensions": [{"Name": "LoadBalancer", "Value": "app/comfyui/1"}],
        "Statistic": "Sum",
        "Period": 60,
    }
    asked = {
        "AlarmName": name,
        "EvaluationPeriods": 1,
        "Threshold": 5.0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    cloudwatch.put_metric_alarm(**{**({} if "Metrics" in changes else metric), **asked, **changes})


def set_state(cloudwatch: Any, value: str, name: str = "errors", **more: Any) -> None:
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=value, StateReason=f"it is {value}", **more)


def state(cloudwatch: Any, name: str = "errors") -> str:
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return str(alarm["StateValue"])


def test_an_alarm_begins_without_data(account: Account, cloudwatch: Any) -> None:
    """PutMetricAlarm: when you create an alarm, its state is immediately set to INSUFFICIENT_DATA."""
    put(cloudwatch)
    assert state(cloudwatch) == "INSUFFICIENT_DATA"
    assert account.events_of(CHANGE) == []


def test_an_alarm_that_is_put_again_keeps_its_state(account: Account, cloudwatch: Any) -> None:
    """PutMetricAlarm: when you update an existing alarm, its state is left unchanged."""
    put(cloudwatch)
    set_state(cloudwatch, "ALARM")
    put(cloudwatch, Threshold=9.0)
    assert state(cloudwatch) == "ALARM"
    assert len(account.events_of(CHANGE)) == 1


def test_a_change_of_state_is_an_event(account: Account, cloudwatch: Any) -> None:
    """CloudWatch user guide, Alarm events and EventBridge: Single Metric Alarm."""
    put(cloudwatch, AlarmDescription="errors of the load balancer")
    account.advance(100)
    set_state(cloudwatch, "ALARM", StateReasonData='{"version":"1.0"}')
    account.advance(1)
    (event,) = [each for each in account.events if each["detail-type"] == CHANGE]
    assert (event["source"], event["resources"], event["version"]) == ("aws.cloudwatch", [ALARM], "0")
    detail = event["detail"]
    (metric,) = detail["configuration"].pop("metrics")
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", metric.pop("id"))
    assert metric == {
        "metricStat": {
            "metric": {
                "namespace": "AWS/ApplicationELB",
                "name": "HTTPCode_Target_5XX_Count",
                "dimensions": {"LoadBalancer": "app/comfyui/1"},
            },
            "period": 60,
            "stat": "Sum",
        },
        "returnData": True,
    }
    assert detail == {
        "alarmName": "errors",
        "state": {
            "value": "ALARM",
            "reason": "it is ALARM",
            "reasonData": '{"version":"1.0"}',
            "timestamp": "2026-03-01T12:01:40.000+0000",
        },
        "previousState": {
            "value": "INSUFFICIENT_DATA",
            "reason": "Unchecked: Initial alarm creation",
            "timestamp": "2026-03-01T12:00:00.000+0000",
        },
        "configuration": {"description": "errors of the load balancer"},
    }


def test_a_state_that_stays_is_none(account: Account, cloudwatch: Any) -> None:
    """SetAlarmState: when the updated state differs from the previous value, the action is invoked."""
    put(cloudwatch)
    for value in ("OK", "OK", "ALARM", "ALARM", "OK"):
        account.advance(10)
        set_state(cloudwatch, value)
    changes = [
        (each["previousState"]["value"], each["state"]["value"], each["previousState"]["timestamp"][-13:-5])
        for each in account.events_of(CHANGE)
    ]
    assert changes == [
        ("INSUFFICIENT_DATA", "OK", "00:00.000"[1:]),
        ("OK", "ALARM", "00:10.000"[1:]),
        ("ALARM", "OK", "00:30.000"[1:]),
    ]


def test_an_alarm_of_several_metrics_has_all_of_them(account: Account, cloudwatch: Any) -> None:
    """CloudWatch user guide, Alarm events and EventBridge: Metric Math Alarm."""
    stat = {"Metric": {"Namespace": "AWS/EC2", "MetricName": "NetworkIn"}, "Period": 300, "Stat": "Maximum"}
    metrics = [
        {"Id": "e1", "Expression": "SUM(METRICS())", "Label": "Total", "ReturnData": True},
        {"Id": "m1", "MetricStat": stat, "ReturnData": False},
    ]
    put(cloudwatch, Metrics=metrics)
    set_state(cloudwatch, "ALARM")
    (detail,) = account.events_of(CHANGE)
    assert detail["configuration"] == {
        "metrics": [
            {"id": "e1", "expression": "SUM(METRICS())", "label": "Total", "returnData": True},
            {
                "id": "m1",
                "metricStat": {
                    "metric": {"namespace": "AWS/EC2", "name": "NetworkIn", "dimensions": {}},
                    "period": 300,
                    "stat": "Maximum",
                },
                "returnData": False,
            },
        ]
    }


def test_an_alarm_that_is_made_anew_begins_anew(account: Account, cloudwatch: Any) -> None:
    put(cloudwatch)
    set_state(cloudwatch, "ALARM")
    cloudwatch.delete_alarms(AlarmNames=["errors"])
    put(cloudwatch)
    assert state(cloudwatch) == "INSUFFICIENT_DATA"


def test_what_is_wrong_changes_nothing(account: Account, cloudwatch: Any) -> None:
    """SetAlarmState: ResourceNotFound, InvalidFormat."""
    put(cloudwatch)
    with refused("ResourceNotFound"):
        set_state(cloudwatch, "ALARM", "others")
    with refused("InvalidFormat"):
        set_state(cloudwatch, "ALARM", StateReasonData="{")
    assert account.events_of(CHANGE) == []
    assert state(cloudwatch) == "INSUFFICIENT_DATA"


def test_what_is_not_emulated_is_refused(cloudwatch: Any) -> None:
    with refused("EmulatorUnsupportedOperation"):
        cloudwatch.put_composite_alarm(AlarmName="all", AlarmRule="ALARM(errors)")
