"""Documents that another account shares, and those of another type."""

from __future__ import annotations

import json

import pytest
from emulator.tests.contract.account import ACCOUNT, COMMAND_DOCUMENT, REGION, Account
from emulator.tests.contract.asserting import refused

OTHER = "210987654321"


def arn(account_id: str, name: str, region: str = REGION) -> str:
    return f"arn:aws:ssm:{region}:{account_id}:document/{name}"


def test_a_document_of_the_account_goes_by_its_name_and_by_its_arn(account: Account) -> None:
    """Systems Manager API reference, GetDocument: Name is a name or an ARN; a document is of a Region."""
    account.document("Mine")
    for name in ("Mine", arn(ACCOUNT, "Mine")):
        assert json.loads(account.ssm.get_document(Name=name)["Content"]) == COMMAND_DOCUMENT
    for name in (arn(OTHER, "Mine"), arn(ACCOUNT, "Mine", "eu-west-1"), arn(ACCOUNT, "Yours")):
        with refused("InvalidDocument"):
            account.ssm.get_document(Name=name)


def test_what_another_account_shares_goes_by_its_arn_alone(account: Account) -> None:
    """Systems Manager user guide, "Using shared SSM documents"."""
    name = account.run_command.add_document(OTHER, "Theirs", json.dumps(COMMAND_DOCUMENT))
    assert name == arn(OTHER, "Theirs")
    shown = account.ssm.get_document(Name=name)
    assert (shown["DocumentType"], shown["DocumentVersion"], shown["Status"]) == ("Command", "1", "Active")
    assert account.ssm.describe_document(Name=name)["Document"]["Owner"] == OTHER
    with refused("InvalidDocument"):
        account.ssm.get_document(Name="Theirs")


def test_versions_are_numbers_and_the_default_is_what_a_call_without_one_gets(account: Account) -> None:
    """Systems Manager API reference, GetDocument, DocumentVersion and Errors."""
    account.document("Mine")
    newer = json.dumps(COMMAND_DOCUMENT | {"description": "new"})
    account.ssm.update_document(Name="Mine", Content=newer, DocumentVersion="$LATEST", DocumentFormat="JSON")
    assert account.ssm.get_document(Name="Mine")["DocumentVersion"] == "1"
    assert account.ssm.get_document(Name="Mine", DocumentVersion="2")["DocumentVersion"] == "2"
    with refused("InvalidDocumentVersion"):
        account.ssm.get_document(Name="Mine", DocumentVersion="3")


@pytest.mark.parametrize("kind", ["Automation", "Session"])
def test_a_document_of_another_type_is_no_command(account: Account, kind: str) -> None:
    """Systems Manager API reference, SendCommand, InvalidDocument."""
    account.run_command.add_document(ACCOUNT, "Runbook", json.dumps({"schemaVersion": "0.3"}), kind)
    assert account.ssm.get_document(Name="Runbook")["DocumentType"] == kind
    with refused("InvalidDocument"):
        account.ssm.send_command(DocumentName="Runbook", InstanceIds=["i-0123456789abcdef0"])
