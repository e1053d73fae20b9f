"""What an execution may be started with, and what it is told when that is nonsense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ami_lifecycle.domain.decision import Retirement
from ami_lifecycle.domain.events import AlarmDetail
from ami_lifecycle.domain.request import Action, BuildRequest, Trigger
from ami_lifecycle.domain.requests import Push, explain, make_request, parse_request, words_for_a_request
from ami_lifecycle.errors import InvalidRequestError

DIGEST = "sha256:" + "ab" * 32
EVENTS = Path(__file__).parents[3] / "events"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=12,
)
FIELDS = sorted(BuildRequest.model_fields)


def an_event(**detail: Any) -> dict[str, Any]:
    """An event of a push as Amazon ECR's user guide shows it; a detail of None leaves the field out."""
    own = {
        "result": "SUCCESS",
        "repository-name": "comfyui",
        "image-digest": DIGEST,
        "action-type": "PUSH",
        "image-tag": "prod-latest",
    } | {key.replace("_", "-"): value for key, value in detail.items()}
    return {
        "version": "0",
        "id": "13cde686-328b-6117-af20-0e5566167482",
        "detail-type": "ECR Image Action",
        "source": "aws.ecr",
        "account": "123456789012",
        "time": "2026-01-15T01:54:34Z",
        "region": "us-east-1",
        "resources": [],
        "detail": {key: value for key, value in own.items() if value is not None},
    }


def test_a_tagged_push_names_repository_digest_and_tag() -> None:
    pushed = Push(repository="comfyui", digest=DIGEST, tag="prod-latest", is_push=True)
    assert parse_request(an_event()) == pushed


@pytest.mark.parametrize("tag", [None, ""], ids=["absent", "empty"])
def test_a_push_by_digest_has_no_tag(tag: str | None) -> None:
    assert parse_request(an_event(image_tag=tag)) == Push(
        repository="comfyui", digest=DIGEST, tag=None, is_push=True
    )


def test_a_push_without_a_digest_has_none() -> None:
    parsed = parse_request(an_event(image_digest=None))
    assert isinstance(parsed, Push)
    assert parsed.digest is None


@pytest.mark.parametrize(
    "detail",
    [{"action_type": "DELETE"}, {"result": "FAILURE"}, {"action_type": "DELETE", "result": "FAILURE"}],
)
def test_a_deletion_or_a_failed_push_is_no_push(detail: dict[str, str]) -> None:
    parsed = parse_request(an_event(**detail))
    assert isinstance(parsed, Push)
    assert not parsed.is_push


def test_the_index_of_a_multi_architecture_image_is_a_push_like_any_other() -> None:
    index = an_event(
        manifest_media_type="application/vnd.oci.image.index.v1+json", artifact_media_type="application/x"
    )
    assert parse_request(index) == parse_request(an_event())


def test_the_recorded_push_event_is_a_push() -> None:
    parsed = parse_request(json.loads((EVENTS / "ecr_push.json").read_text()))
    assert isinstance(parsed, Push)
    assert parsed.is_push


def test_the_least_request_builds_the_environments_own_tag() -> None:
    request = parse_request({"environment": "prod"})
    assert isinstance(request, BuildRequest)
    assert (request.action, request.trigger) == (Action.BUILD, Trigger.MANUAL)
    assert (request.image_tag, request.image_digest, request.publish_image_id) == (None, None, None)
    assert (request.fresh, request.force, request.pin) == (False, False, False)


@pytest.mark.parametrize("raw", [5, 2.5, "prod", ["prod"], None, True, b"{}"])
def test_an_input_that_is_no_object_is_told_what_to_start_with(raw: object) -> None:
    with pytest.raises(InvalidRequestError, match=r'not a JSON object.*\{"environment": "prod"\}'):
        parse_request(raw)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("environment", 5),
        ("environment", "Prod"),
        ("environment", ""),
        ("environment", "prod/../dev"),
        ("environment", "a" * 33),
        ("action", "none"),
        ("action", "explode"),
        ("trigger", "cron"),
        ("image_tag", "no spaces"),
        ("image_tag", "x" * 129),
        ("image_digest", "sha256:short"),
        ("image_digest", DIGEST.upper()),
        ("image_digest", DIGEST + "\n"),
        ("publish_image_id", "ami-xyz"),
        ("publish_image_id", "i-0123456789abcdef0"),
        ("fresh", "maybe"),
        ("force", [1]),
        ("pin", {"now": True}),
        ("branch", "b" * 201),
        ("commit_sha", "c" * 65),
        ("workflow_run_id", 7),
        ("reason", {"deep": {"deeper": ["deepest"]}}),
        ("colour", "blue"),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_the_remedy(field: str, value: object) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        parse_request({"environment": "prod"} | {field: value})
    message = str(raised.value)
    assert f"{field}: " in message
    assert f"(got {value!r:.120})" in message
    assert '{"environment": "prod"}' in message


PROMOTION = {"environment": "prod", "action": "promote", "promote_from": "staging"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"environment": "prod", "action": "promote"}, "promote_from is missing"),
        ({"environment": "prod", "promote_from": "staging"}, "belong to action promote, and action is build"),
        (
            {"environment": "prod", "action": "retire", "release": "x"},
            "belong to action promote, and action is retire",
        ),
        (PROMOTION | {"promote_from": "prod"}, "the environment itself"),
        (PROMOTION | {"image_tag": "v1"}, "knows no image_tag"),
        (PROMOTION | {"image_digest": DIGEST}, "knows no image_digest"),
        (PROMOTION | {"publish_image_id": "ami-0123456789abcdef0"}, "knows no publish_image_id"),
        (PROMOTION | {"fresh": True}, "knows no fresh"),
        (PROMOTION | {"release": "two words"}, "release: "),
    ],
)
def test_a_promotion_says_from_where_and_builds_nothing(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        parse_request(fields)
    assert words in str(raised.value)


def test_a_promotion_is_read_as_it_is_written() -> None:
    request = parse_request(PROMOTION | {"release": "0123456789ab-01234567", "pin": True})
    assert isinstance(request, BuildRequest)
    assert (request.action, request.promote_from, request.pin) == (Action.PROMOTE, "staging", True)
    assert BuildRequest.model_validate_json(request.model_dump_json()) == request


def test_a_missing_environment_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="environment: Field required"):
        parse_request({"fresh": True})


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(InvalidRequestError) as raised:
        parse_request({"environment": 1, "fresh": "maybe", "colour": "blue"})
    assert all(field in str(raised.value) for field in ("environment", "fresh", "colour"))


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(InvalidRequestError) as raised:
        parse_request({"environment": "x" * 100_000})
    assert len(str(raised.value)) < 1_000


def test_a_deep_value_is_refused_like_any_other() -> None:
    deep: object = "end"
    for _ in range(300):
        deep = {"deeper": [deep]}
    with pytest.raises(InvalidRequestError, match="environment"):
        parse_request({"environment": deep})


@pytest.mark.parametrize(
    "change",
    [
        {"source": "aws.ec2"},
        {"detail-type": "ECR Image Scan"},
        {"source": "my.app"},
    ],
)
def test_another_event_is_refused_by_its_name(change: dict[str, str]) -> None:
    with pytest.raises(InvalidRequestError, match="correct the rule's pattern") as raised:
        parse_request(an_event() | change)
    assert next(iter(change.values())) in str(raised.value)


@pytest.mark.parametrize(
    ("detail", "field"),
    [
        ({"repository_name": None}, "repository-name"),
        ({"repository_name": 5}, "repository-name"),
        ({"action_type": None}, "action-type"),
        ({"result": []}, "result"),
        ({"image_tag": 7}, "image-tag"),
        ({"image_digest": {"a": 1}}, "image-digest"),
    ],
)
def test_a_broken_event_is_refused_by_its_field(detail: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"events/ecr_push\.json") as raised:
        parse_request(an_event(**detail))
    assert field in str(raised.value)


@pytest.mark.parametrize("detail", [None, [], "PUSH", 3])
def test_an_event_whose_detail_is_no_object_is_refused(detail: object) -> None:
    with pytest.raises(InvalidRequestError, match="detail"):
        parse_request(an_event() | {"detail": detail})


def test_an_event_without_its_type_is_refused_as_an_event() -> None:
    with pytest.raises(InvalidRequestError, match=r"detail-type: Field required"):
        parse_request({"detail": {}, "source": "aws.ecr"})


def parsed_or_refused(raw: object) -> Push | AlarmDetail | BuildRequest | str:
    """What the input means, or the words of its refusal."""
    try:
        return parse_request(raw)
    except InvalidRequestError as error:
        return str(error)


@given(JSON)
def test_any_json_is_parsed_or_refused_in_words(raw: object) -> None:
    parsed = parsed_or_refused(raw)
    assert isinstance(parsed, Push | BuildRequest) or "start the execution" in parsed or "valid" in parsed


@given(st.sampled_from(FIELDS), JSON)
def test_any_value_of_any_field_is_taken_or_refused_by_name(field: str, value: object) -> None:
    parsed = parsed_or_refused({"environment": "prod"} | {field: value})
    if isinstance(parsed, str):
        assert field in parsed
    else:
        assert isinstance(parsed, BuildRequest)
        assert parse_request(parsed.model_dump(mode="json")) == parsed


@given(st.dictionaries(st.sampled_from(["repository_name", "image_tag", "image_digest", "result"]), JSON))
def test_any_event_is_parsed_or_refused_as_an_event(detail: dict[str, Any]) -> None:
    parsed = parsed_or_refused(an_event(**detail))
    if isinstance(parsed, str):
        assert "not an ECR image event" in parsed
    else:
        assert isinstance(parsed, Push)
        assert parsed.tag != ""


@pytest.mark.parametrize(
    ("field", "value", "way"),
    [
        ("image_tag", 20241101, 'write "20241101" with the quotes'),
        ("environment", True, 'write "true" with the quotes'),
        ("branch", 1.1, "write it in quotes"),
        ("commit_sha", 1234567, 'write "1234567" with the quotes'),
        ("workflow_run_id", 42, 'write "42" with the quotes'),
        ("fresh", "yes", "write true or false without quotes"),
        ("force", 1, "write true or false without quotes"),
        ("pin", "off", "write true or false without quotes"),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_way_to_write_it(
    field: str, value: object, way: str
) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        parse_request({"environment": "prod", field: value})
    assert field in str(raised.value)
    assert way in str(raised.value)


WORDS = ["branch", "commit_sha", "workflow_run_id", "reason"]


@pytest.mark.parametrize("field", WORDS)
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ github.sha }}", "a template that nobody has filled in; give its value, or leave it out"),
        ("one\ntwo", "which has line breaks or other control characters; leave them out"),
        ("\x7f", "which has line breaks or other control characters; leave them out"),
    ],
)
def test_words_that_nothing_can_carry_are_refused_with_the_remedy(
    field: str, text: str, problem: str
) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        parse_request({"environment": "prod", field: text})
    assert str(raised.value) == f"the request is not valid: {field} is {text!r}, {problem}"
    assert words_for_a_request(field, text) is None


def test_all_words_that_nothing_can_carry_are_told_at_once() -> None:
    with pytest.raises(InvalidRequestError) as raised:
        parse_request({"environment": "prod"} | dict.fromkeys(WORDS, "{{x}}"))
    problem = "is '{{x}}', a template that nobody has filled in; give its value, or leave it out"
    assert str(raised.value) == "the request is not valid: " + "; ".join(
        f"{field} {problem}" for field in WORDS
    )


@pytest.mark.parametrize("text", ["main", "{x}", "feature/é"])
def test_plain_words_are_taken(text: str) -> None:
    request = parse_request({"environment": "prod"} | dict.fromkeys(WORDS, text))
    assert isinstance(request, BuildRequest)
    assert [getattr(request, field) for field in WORDS] == [text] * 4
    assert [words_for_a_request(field, text) for field in WORDS] == [text] * 4


@pytest.mark.parametrize(
    ("field", "longest"), [("branch", 200), ("commit_sha", 64), ("workflow_run_id", 200), ("reason", 200)]
)
def test_what_a_record_says_is_asked_for_again_only_where_a_request_may_say_it(
    field: str, longest: int
) -> None:
    text = words_for_a_request(field, "x" * longest)
    assert text is not None
    assert make_request({"environment": "prod", field: text}, "")
    assert words_for_a_request(field, "x" * (longest + 1)) is None
    assert words_for_a_request(field, None) is None


def test_every_problem_is_told_and_parted() -> None:
    with pytest.raises(InvalidRequestError) as raised:
        make_request({"environment": "prod", "fresh": "maybe", "colour": 1}, "read the manual")
    assert str(raised.value) == (
        "the request is not valid: fresh: Input should be a valid boolean (got 'maybe'), write true or false without "
        "quotes; colour: Extra inputs are not permitted (got 1); read the manual"
    )
    with pytest.raises(InvalidRequestError, match=r"^the request is not valid: input: .* valid dict"):
        make_request([], "")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            ["prod"],
            (
                'the input is list, not a JSON object; start the execution with an "ECR Image Action" event or with '
                '{"environment": "prod"}'
            ),
        ),
        (
            {},
            (
                "the request is not valid: environment: Field required; the least that it needs is "
                '{"environment": "prod"}, '
                "and docs/runbook.md lists all fields"
            ),
        ),
        (
            {"environment": "Prod"},
            (
                "the request is not valid: environment: write lower-case letters, digits and hyphens, at most 32, with "
                "a letter at the start and no hyphen at the end (got 'Prod'); the least that it needs is "
                '{"environment": "prod"}, and docs/runbook.md lists all fields'
            ),
        ),
        (
            {"environment": 1.5},
            (
                "the request is not valid: environment: Input should be a valid string (got 1.5), write it in quotes, "
                'as it was before JSON took it for a number; the least that it needs is {"environment": "prod"}, and '
                "docs/runbook.md lists all fields"
            ),
        ),
        (
            {"environment": "prod", "reason": None, "pin": 1.5, "branch": []},
            (
                "the request is not valid: pin: Input should be a valid boolean (got 1.5), write true or false without "
                "quotes; branch: Input should be a valid string (got []); the least that it needs is "
                '{"environment": "prod"}, and docs/runbook.md lists all fields'
            ),
        ),
        (
            an_event() | {"source": "aws.ec2"},
            (
                "the event is 'ECR Image Action' of 'aws.ec2'; only 'ECR Image Action' of 'aws.ecr' starts a build, "
                "and 'CloudWatch Alarm State Change' of 'aws.cloudwatch' a rollback, so correct the rule's pattern"
            ),
        ),
        (
            {
                "source": "aws.cloudwatch",
                "detail-type": "CloudWatch Alarm State Change",
                "detail": {
                    "alarmName": "x" * 256,
                    "state": {"value": "ALARM", "timestamp": "2026-11-22T10:45:40"},
                },
            },
            (
                "the event is not an alarm event: alarmName: String should have at most 255 characters (got "
                f"'{'x' * 119}); state.timestamp: Input should have timezone info (got '2026-11-22T10:45:40'); compare "
                "it with events/alarm_raised.json"
            ),
        ),
        (
            {"environment": "prod", "trigger": "alarm"},
            (
                "the request is not valid: input: trigger is alarm, which publishes an earlier image again; write "
                '"action": "publish" and publish_image_id, or leave trigger out; the least that it needs is '
                '{"environment": "prod"}, and docs/runbook.md lists all fields'
            ),
        ),
        (
            {"environment": "prod", "trigger": "alarm", "action": "publish"},
            (
                "the request is not valid: input: trigger is alarm, which publishes an earlier image again; write "
                '"action": "publish" and publish_image_id, or leave trigger out; the least that it needs is '
                '{"environment": "prod"}, and docs/runbook.md lists all fields'
            ),
        ),
        (
            {"environment": "prod", "alarm": "errors"},
            (
                "the request is not valid: input: alarm belongs to trigger alarm, and trigger is manual; leave it out, "
                'and name it in reason; the least that it needs is {"environment": "prod"}, and docs/runbook.md lists '
                "all fields"
            ),
        ),
        (
            {"detail-type": "ECR Image Action"},
            (
                "the event is not an ECR image event: source: Field required; detail: Field required; compare it with "
                "events/ecr_push.json"
            ),
        ),
    ],
)
def test_a_refusal_says_what_is_wrong_and_what_to_write(raw: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        parse_request(raw)
    assert str(raised.value) == message


def test_a_field_within_another_is_named_by_its_path() -> None:
    with pytest.raises(ValidationError) as raised:
        Retirement.model_validate({"blocked": [{"resource": "snap-1", "error": "x", "reason": 5}]})
    assert explain(raised.value) == (
        'blocked.0.reason: Input should be a valid string (got 5), write "5" with the quotes'
    )
