"""Every bad input has its own error, with file, line and remedy."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from textwrap import dedent

import pytest
from botocore.exceptions import (
    BotoCoreError,
    CredentialRetrievalError,
    LoginRefreshRequired,
    ParamValidationError,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.parsers import ResponseParserError

from parameter_config import ConfigError, load_config
from parameter_config.changes import apply_change, plan_set
from parameter_config.documents import read_all_documents
from parameter_config.errors import (
    AccessDeniedError,
    ConfigFileError,
    CredentialsError,
    DuplicateKeyError,
    DuplicateParameterError,
    InvalidDeclarationError,
    InvalidParameterNameError,
    Location,
    PlaceholderError,
    ReservedPrefixError,
    ServiceUnavailableError,
    StoreRequestError,
    ThrottledError,
    UnknownFieldError,
    ValueNotAllowedError,
    ValueTooLongError,
    ValueTypeError,
    YamlSyntaxError,
)

from .conftest import WriteConfig
from .fake_aws import THROTTLED, UNREACHABLE, FakeSsm, client_error

BAD_FILES: list[tuple[str, type[ConfigError], int, str, str]] = [
    ("a: [1, 2", YamlSyntaxError, 1, "not valid YAML", "indentation"),
    ("a: 1\nb:\n\t c: 2", YamlSyntaxError, 3, "not valid YAML", "indentation"),
    ("- a\n- b", YamlSyntaxError, 1, "must be a mapping", ""),
    ("a: .nan", YamlSyntaxError, 1, "'.nan'", "Quote it"),
    ("a: !!python/object:os.system x", YamlSyntaxError, 1, "constructor", ""),
    ("a: 1\nb: !GetAtt [x, y]", YamlSyntaxError, 2, "The tag !GetAtt", "Remove the tag"),
    ("a: !Sub {k: v}", YamlSyntaxError, 1, "The tag !Sub", "Remove the tag"),
    ("a: !!set {x, y}", YamlSyntaxError, 1, "The tag !!set", "Remove the tag"),
    ("a: {<<: !x {b: 1}}", YamlSyntaxError, 1, "The tag !x", "Remove the tag"),
    ("? [a]\n: 1", YamlSyntaxError, 1, "plain word", ""),
    ("a: &x\n  b: *x", YamlSyntaxError, 1, "contains itself", ""),
    ("a: 1\nb: 2\na: 3", DuplicateKeyError, 3, "'a' is written twice", "Remove or rename"),
    ("ssm_param: /p/a", YamlSyntaxError, 1, "itself is a declaration", ""),
    ("a: {ssm_param: /p/x}\nb:\n  ssm_param: /p/x", DuplicateParameterError, 3, "aws.b", "another ssm_param"),
    ("a: {ssm_param: /p/x}, b: 1", YamlSyntaxError, 1, "not valid YAML", ""),
    ("x: {a: {ssm_param: /p/x}, b: {ssm_param: /p/x}}", DuplicateParameterError, 1, "/p/x", "alias"),
    ("a:\n  ssm_param: /p/a\n  defualt: 1", UnknownFieldError, 3, "'defualt'", "Did you mean `default`?"),
    ("a:\n  ssm_param: /p/a\n  colour: 1", UnknownFieldError, 3, "'colour'", "The fields are"),
    ("a:\n  ssm_parm: /p/a\n  default: 1", UnknownFieldError, 2, "'ssm_parm'", "`ssm_param`"),
    ("a:\n  ssm-param: /p/a", UnknownFieldError, 2, "'ssm-param'", "`ssm_param`"),
    ("a:\n  ssm_param: /p/a\n  type: integer", InvalidDeclarationError, 3, "type", "Correct"),
    ("a:\n  ssm_param: 7", InvalidDeclarationError, 2, "ssm_param", "Correct"),
    ("a:\n  ssm_param: /p/a\n  secret: 'yes'", InvalidDeclarationError, 3, "secret", "Correct"),
    (
        f"a:\n  ssm_param: /p/a\n  description: {'x' * 1025}",
        InvalidDeclarationError,
        3,
        "1024 characters",
        "",
    ),
    ("a:\n  ssm_param: /p/a\n  allowed_values: []", InvalidDeclarationError, 3, "allowed_values", ""),
    ("a: {ssm_param: /p/a, allowed_pattern: '('}", InvalidDeclarationError, 1, "regular expression", ""),
    ("a: {ssm_param: /p/a, type: int, allowed_values: [x]}", InvalidDeclarationError, 1, "of its type", ""),
    ("a: {ssm_param: /p/a, sensitive: true, default: x}", InvalidDeclarationError, 1, "has a default", ""),
    ("a: {ssm_param: /p/a, sensitive: true, type: int}", InvalidDeclarationError, 1, "only strings", ""),
    ("a: {ssm_param: /p/a, secret: true, type: list}", InvalidDeclarationError, 1, "must be str", ""),
    ("a: {ssm_param: /p/a, secret: true, sensitive: true}", InvalidDeclarationError, 1, "both", ""),
    ("a: {ssm_param: '/p/{stage}/a'}", PlaceholderError, 1, "{stage}", "{environment} or {application}"),
    ("a: {ssm_param: '/p/{environment/a'}", PlaceholderError, 1, "brace", "{environment}"),
    ("a: {ssm_param: '/p/{}/a'}", PlaceholderError, 1, "{}", "{environment}"),
    ("a: {ssm_param: ''}", InvalidParameterNameError, 1, "empty", "/project/category/key"),
    ("a: {ssm_param: /}", InvalidParameterNameError, 1, "empty", ""),
    ("a: {ssm_param: /p/a b}", InvalidParameterNameError, 1, "characters", "letters, digits"),
    ("a: {ssm_param: p/a}", InvalidParameterNameError, 1, "begins with /", ""),
    ("a: {ssm_param: /p/a/}", InvalidParameterNameError, 1, "ends with /", ""),
    ("a: {ssm_param: /p//a}", InvalidParameterNameError, 1, "empty level", ""),
    (f"a: {{ssm_param: {'/x' * 16}}}", InvalidParameterNameError, 1, "16 levels", ""),
    (f"a: {{ssm_param: /{'x' * 1011}}}", InvalidParameterNameError, 1, "1012 characters", ""),
    ("a: {ssm_param: /aws/region}", ReservedPrefixError, 1, "'aws'", "your project"),
    ("a: {ssm_param: SSM-test}", ReservedPrefixError, 1, "'SSM'", "your project"),
    ("a: {ssm_param: /p/a, type: int, default: x}", ValueTypeError, 1, "a whole number", "Correct"),
    ("a: {ssm_param: /p/a, type: str, default: 12}", ValueTypeError, 1, "quote it", "Correct"),
    ("a: {ssm_param: /p/a, type: list, default: ['a,b']}", ValueTypeError, 1, "without commas", "Correct"),
    ("a: {ssm_param: /p/a, default: x, allowed_pattern: 'y+'}", ValueNotAllowedError, 1, "'y+'", "matches"),
    ("a: {ssm_param: /p/a, default: 3, allowed_values: [1, 2]}", ValueNotAllowedError, 1, "none of", "1, 2"),
    ("a: {ssm_param: /p/a, default: '{{x}}'}", ValueNotAllowedError, 1, "{{", "plain YAML"),
    (f"a: {{ssm_param: /p/a, default: {'x' * 4097}}}", ValueTooLongError, 1, "4,097", "Advanced"),
    (
        f"a: {{ssm_param: /p/a, tier: Advanced, default: {'x' * 8193}}}",
        ValueTooLongError,
        1,
        "holds 8,192",
        "plain YAML",
    ),
]


@pytest.mark.parametrize(("text", "kind", "line", "message", "remedy"), BAD_FILES)
def test_a_bad_file_is_refused_with_its_line_and_remedy(
    write_config: WriteConfig, text: str, kind: type[ConfigError], line: int, message: str, remedy: str
) -> None:
    directory = write_config(aws=text)
    with pytest.raises(ConfigError) as caught:
        load_config(directory, offline=True)
    error = caught.value
    assert type(error) is kind
    assert isinstance(error.location, Location)
    assert (error.location.file, error.location.line) == (str(directory / "aws_config.yml"), line)
    assert message in error.message
    assert error.remedy
    assert remedy in error.remedy
    assert str(error) == f"{error.location}: {error.message} {error.remedy}"


@pytest.mark.parametrize(
    "text",
    [
        f"a: {{ssm_param: /p/a, default: {'x' * 4096}}}",
        f"a: {{ssm_param: /p/a, tier: Advanced, default: {'x' * 8192}}}",
        f"a: {{ssm_param: {'/x' * 15}}}",
        f"a: {{ssm_param: /{'x' * 1010}}}",
        "a: {ssm_param: /p/aws/ssm}",
        "a: {ssm_param: name-without-levels}",
        "",
        "a:",
    ],
)
def test_what_parameter_store_just_accepts_is_accepted(write_config: WriteConfig, text: str) -> None:
    assert load_config(write_config(aws=text), offline=True) is not None


def test_two_files_may_not_declare_one_parameter(write_config: WriteConfig) -> None:
    directory = write_config(aws="x: {ssm_param: /p/x}", build="y: {ssm_param: /p/x}")
    with pytest.raises(DuplicateParameterError, match=r"build\.y .*aws\.x .*aws_config\.yml:1"):
        load_config(directory, offline=True)


def test_two_templates_may_not_meet_in_one_name(write_config: WriteConfig, ssm: FakeSsm) -> None:
    directory = write_config(aws="x: {ssm_param: '/p/{environment}/x'}\ny: {ssm_param: /p/prod/x}")
    with pytest.raises(DuplicateParameterError, match="/p/prod/x"):
        load_config(directory, ssm, environment="prod").get("aws.x")


def test_a_directory_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match=r"not a directory.*--config-dir"):
        load_config(tmp_path / "nowhere")
    with pytest.raises(ConfigFileError, match=r"_config\.yml"):
        load_config(tmp_path)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "aws_config.yml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(ConfigFileError, match="UTF-8"):
        load_config(tmp_path)


def test_two_files_may_not_be_one_namespace(tmp_path: Path) -> None:
    (tmp_path / "aws_config.yml").write_text("a: 1")
    (tmp_path / "aws_config.yaml").write_text("a: 2")
    with pytest.raises(ConfigFileError, match=r"aws_config\.yml is the second"):
        load_config(tmp_path)


def test_every_problem_of_all_files_is_found_at_once(write_config: WriteConfig) -> None:
    directory = write_config(
        aws=dedent(
            """
            a: {ssm_param: /aws/a}
            b: {ssm_param: /p/b, type: int, default: x}
            c: {ssm_param: /p/c}
            """
        ),
        build="d: [",
        zoo="e: {ssm_param: /p/c}",
    )
    _, problems = read_all_documents(directory)
    assert [type(problem) for problem in problems] == [
        ReservedPrefixError,
        ValueTypeError,
        YamlSyntaxError,
        DuplicateParameterError,
    ]


AWS_ERRORS: list[tuple[Exception, type[ConfigError], str]] = [
    (THROTTLED, ThrottledError, "throttled"),
    (UNREACHABLE, ServiceUnavailableError, "no answer"),
    (client_error("InternalServerError", "", 500), ServiceUnavailableError, "server error"),
    # An answer that was cut off: without its code, without a member, or in the middle.
    (client_error("400", ""), ServiceUnavailableError, "server error"),
    (client_error("", ""), ServiceUnavailableError, "server error"),
    (KeyError("Parameters"), ServiceUnavailableError, "not what the API reference describes"),
    (ResponseParserError("cut off"), ServiceUnavailableError, "not what the API reference describes"),
    (client_error("ExpiredTokenException", "expired"), CredentialsError, "ExpiredTokenException"),
    (client_error("InvalidKeyId", "key is disabled"), StoreRequestError, "key is disabled"),
]


@pytest.mark.parametrize(("fault", "kind", "message"), AWS_ERRORS)
def test_an_error_of_aws_has_a_class_of_its_own(
    write_config: WriteConfig, ssm: FakeSsm, fault: Exception, kind: type[ConfigError], message: str
) -> None:
    ssm.faults = [fault] * 100
    config = load_config(write_config(aws="x: {ssm_param: /p/x, default: 1}"), ssm, clock=ssm.clock)
    with pytest.raises(kind, match=message) as caught:
        config.get("aws.x")
    assert "/p/x" in caught.value.message or kind is CredentialsError


def test_access_denied_names_action_and_resource(write_config: WriteConfig, ssm: FakeSsm) -> None:
    ssm.faults = [
        client_error(
            "AccessDeniedException",
            "User: arn:aws:iam::123456789012:user/ana is not authorized to perform: ssm:GetParameters on "
            "resource: arn:aws:ssm:us-east-1:123456789012:parameter/p/x because no identity-based policy "
            "allows the ssm:GetParameters action",
        )
    ]
    config = load_config(write_config(aws="x: {ssm_param: /p/x, default: 1}"), ssm, clock=ssm.clock)
    with pytest.raises(AccessDeniedError) as caught:
        config.get("aws.x")
    assert caught.value.action == "ssm:GetParameters"
    assert caught.value.resource == "arn:aws:ssm:us-east-1:123456789012:parameter/p/x"
    assert "policy" in caught.value.remedy


NOT_ACCEPTED = [
    *("ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId"),
    *("AuthFailure", "RequestExpired", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
]


@pytest.mark.parametrize("code", NOT_ACCEPTED)
def test_credentials_that_aws_does_not_accept_are_to_be_renewed(
    write_config: WriteConfig, ssm: FakeSsm, code: str
) -> None:
    ssm.faults = [client_error(code, "not accepted", 403)]
    config = load_config(write_config(aws="x: {ssm_param: /p/x, default: 1}"), ssm, clock=ssm.clock)
    with pytest.raises(CredentialsError, match=code) as caught:
        config.get("aws.x")
    assert "Renew the credentials" in caught.value.remedy
    assert "aws sso login --profile" in caught.value.remedy


SSO = "sso_account_id = 123456789012\nsso_role_name = reader"
START = "sso_start_url = https://example.awsapps.com/start\nsso_region = us-east-1"
EXPIRED = """{"Version": 1, "AccessKeyId": "x", "SecretAccessKey": "x", "SessionToken": "x",
 "Expiration": "2020-01-01T00:00:00Z"}"""
PROFILES = {
    "sso-of-old": f"[profile mine]\n{START}\n{SSO}",
    "sso-session": f"[profile mine]\nsso_session = ours\n{SSO}\n[sso-session ours]\n{START}",
    "process-that-fails": "[profile mine]\ncredential_process = false",
    "process-that-is-late": "[profile mine]\ncredential_process = cat {directory}/expired.json",
}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_a_profile_without_a_valid_login_is_to_be_renewed(
    write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profile: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "expired.json").write_text(EXPIRED)
    (tmp_path / "profiles").write_text(profile.format(directory=tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "profiles"))
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with pytest.raises(CredentialsError, match="ssm:GetParameters") as caught:
        load_config(write_config(aws="x: {ssm_param: /p/x}")).get("aws.x")
    assert "Renew the credentials" in caught.value.remedy
    assert "aws sso login --profile" in caught.value.remedy


@pytest.mark.parametrize(
    "fault",
    [
        SSOTokenLoadError(error_msg="no token"),
        UnauthorizedSSOTokenError(),
        TokenRetrievalError(provider="sso", error_msg="expired"),
        CredentialRetrievalError(provider="custom-process", error_msg="expired"),
        LoginRefreshRequired(),
    ],
)
def test_an_expired_login_is_an_error_of_credentials(
    write_config: WriteConfig, ssm: FakeSsm, fault: BotoCoreError
) -> None:
    ssm.faults = [fault]
    config = load_config(write_config(aws="x: {ssm_param: /p/x}"), ssm, clock=ssm.clock)
    with pytest.raises(CredentialsError, match=re.escape(str(fault).rstrip("."))) as caught:
        config.get("aws.x")
    assert "Renew the credentials" in caught.value.remedy


def test_an_error_of_botocore_that_has_no_name_here_is_ours_all_the_same(
    write_config: WriteConfig, ssm: FakeSsm
) -> None:
    ssm.faults = [ParamValidationError(report="Names is too long")]
    config = load_config(write_config(aws="x: {ssm_param: /p/x}"), ssm, clock=ssm.clock)
    with pytest.raises(StoreRequestError, match=r"ssm:GetParameters on /p/x.*Names is too long") as caught:
        config.get("aws.x")
    assert caught.value.code == "ParamValidationError"
    assert caught.value.remedy


def test_an_error_of_botocore_does_not_repeat_a_sensitive_value(
    write_config: WriteConfig, ssm: FakeSsm
) -> None:
    config = load_config(write_config(aws="x: {ssm_param: /p/x, sensitive: true}"), ssm, clock=ssm.clock)
    change = plan_set(config, "aws.x", "planted-20b7")
    ssm.faults = [ParamValidationError(report="Invalid length for Value: planted-20b7")]
    with pytest.raises(StoreRequestError, match="ParamValidationError") as caught:
        apply_change(config, change)
    assert "planted-20b7" not in "".join(traceback.format_exception(caught.value))


def test_an_endpoint_of_the_environment_without_a_scheme_is_named(
    write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:4566")
    with pytest.raises(CredentialsError, match="localhost:4566") as caught:
        load_config(write_config(aws="x: {ssm_param: /p/x}")).get("aws.x")
    assert "AWS_ENDPOINT_URL" in caught.value.remedy


def test_without_a_region_the_error_says_so(
    write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(CredentialsError, match="AWS_REGION"):
        load_config(write_config(aws="x: {ssm_param: /p/x}")).get("aws.x")


def test_without_credentials_the_error_says_so(
    write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(CredentialsError, match="aws configure"):
        load_config(write_config(aws="x: {ssm_param: /p/x}")).get("aws.x")
