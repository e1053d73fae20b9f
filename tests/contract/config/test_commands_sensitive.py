"""No `config` command prints what is sensitive, wherever the files have it and however it is stored."""

from __future__ import annotations

import pytest
from tests.contract.config.project import PLANTED, Project

IN_LISTS = """
    tokens: [{{ssm_param: /{name}/token, sensitive: true}}, public]
    services: [{{name: api, key: {{ssm_param: /{name}/key, sensitive: true}}}}]
    names: [first, {{ssm_param: /{name}/second, default: second}}]
    """
ENCRYPTED = """
    login: {{ssm_param: /{name}/login, type: json}}
    tokens: {{ssm_param: /{name}/tokens, type: list}}
    pin: {{ssm_param: /{name}/pin, type: int}}
    bucket: {{ssm_param: /{name}/bucket}}
    allowed: {{ssm_param: /{name}/allowed, type: list}}
    shown: {{ssm_param: /{name}/shown, default: public}}
    """
PIN = 519_005_190
FORMATS = ["env", "json", "yaml", "tfvars"]


@pytest.fixture
def in_lists(project: Project) -> Project:
    """Sensitive declarations as items of lists, and below them."""
    project.write(IN_LISTS)
    for key in ("token", "key"):
        project.ssm.put_parameter(Name=f"/{project.name}/{key}", Value=PLANTED, Type="SecureString")
    return project


@pytest.fixture
def encrypted(project: Project) -> Project:
    """SecureStrings of every type, none of which its declaration calls sensitive."""
    project.write(ENCRYPTED)
    values = {
        "login": f'{{"password": "{PLANTED}"}}',
        "tokens": f"a,{PLANTED}",
        "pin": str(PIN),
        "bucket": PLANTED,
        "allowed": "subnet-0123456789abcdef0",
    }
    for key, value in values.items():
        project.ssm.put_parameter(Name=f"/{project.name}/{key}", Value=value, Type="SecureString")
    return project


def test_show_masks_what_is_sensitive_inside_a_list(in_lists: Project) -> None:
    rows = {row["path"]: row["value"] for row in in_lists.json("show", "aws")["values"]}
    assert rows == {
        "aws.tokens": ["********", "public"],
        "aws.services": [{"name": "api", "key": "********"}],
        "aws.names": ["first", "second"],
    }
    assert "********" in in_lists.run("show").stdout


@pytest.mark.parametrize("export_format", FORMATS)
def test_an_export_leaves_a_list_with_something_sensitive_out(in_lists: Project, export_format: str) -> None:
    result = in_lists.run("export", "--format", export_format)
    for path in ("aws.tokens", "aws.services"):
        assert f"Left out, because it is sensitive: {path}\n" in result.stderr
    assert "second" in result.stdout
    assert "public" not in result.stdout
    assert "tokens" not in result.stdout.lower()


def test_show_masks_a_secure_string_of_any_type(encrypted: Project) -> None:
    rows = {row["path"]: row["value"] for row in encrypted.json("show", "aws")["values"]}
    assert rows.pop("aws.shown") == "public"
    assert set(rows.values()) == {"********"}
    assert str(PIN) not in encrypted.run("show").stdout


@pytest.mark.parametrize("export_format", FORMATS)
def test_an_export_leaves_a_secure_string_of_any_type_out(encrypted: Project, export_format: str) -> None:
    result = encrypted.run("export", "--format", export_format)
    assert "public" in result.stdout
    for text in (str(PIN), "subnet-"):
        assert text not in result.stdout
    assert result.stderr.count("Left out, because it is sensitive") == 5


def test_validate_asks_no_other_service_for_a_secure_string(encrypted: Project) -> None:
    result = encrypted.run("validate")
    assert "subnet-" not in result.output
    assert "bucket" not in result.output


def test_a_new_value_stays_under_the_key_of_the_old_one(project: Project) -> None:
    """PutParameter, KeyId: without it, the default key of the account is used."""
    name = f"/{project.name}/key"
    project.ssm.put_parameter(Name=name, Value="old", Type="SecureString", KeyId="alias/mine")
    project.run("set", "aws.key", "--stdin", "--adopt", stdin=PLANTED)
    named = [{"Key": "Name", "Option": "Equals", "Values": [name]}]
    (found,) = project.ssm.describe_parameters(ParameterFilters=named)["Parameters"]
    assert (found["KeyId"], found["Version"]) == ("alias/mine", 2)
