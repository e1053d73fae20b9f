from __future__ import annotations

import pytest
from tests.contract.adapters.emulated_rig import EmulatedRig
from tests.contract.adapters.rig import Rig

from ami_lifecycle.errors import AccessDeniedError, RefusedError, ServiceUnavailableError, ThrottledError


def test_a_list_reads_back_as_it_was_written(rig: Rig) -> None:
    key = f"packages/prod/{rig.name}.json"
    assert rig.package_lists.read(key) is None
    rig.package_lists.write(key, '{"packages": ["naïve"]}\n')
    rig.package_lists.write(key, '{"packages": []}\n')
    assert rig.package_lists.read(key) == '{"packages": []}\n'


def test_a_list_is_deleted_once_and_again(rig: Rig) -> None:
    key = f"packages/prod/{rig.name}.json"
    rig.package_lists.write(key, "{}")
    rig.package_lists.delete(key)
    rig.package_lists.delete(key)
    assert rig.package_lists.read(key) is None


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("SlowDown", 503, ThrottledError),
        ("InternalError", 500, ServiceUnavailableError),
        ("AccessDenied", 403, AccessDeniedError),
        ("NoSuchBucket", 404, RefusedError),
    ],
)
def test_errors_of_s3_have_their_class(
    emulated: EmulatedRig, code: str, status: int, error: type[Exception]
) -> None:
    for operation in ("GetObject", "PutObject", "DeleteObject"):
        emulated.account.faults.add(
            {"kind": "error", "service": "s3", "operation": operation, "code": code, "status": status}
        )
    with pytest.raises(error):
        emulated.package_lists.read("a")
    with pytest.raises(error):
        emulated.package_lists.write("a", "{}")
    with pytest.raises(error):
        emulated.package_lists.delete("a")


@pytest.mark.parametrize("fault", [{"kind": "cut"}, {"kind": "lacks", "member": "Body"}])
def test_a_list_that_comes_cut_off_is_read_again(emulated: EmulatedRig, fault: dict[str, str]) -> None:
    emulated.package_lists.write("cut", '{"packages": ["a", "b"]}')
    emulated.account.faults.add({"service": "s3", "operation": "GetObject", **fault})
    with pytest.raises(ServiceUnavailableError, match=r"s3:GetObject on s3://.*/cut failed"):
        emulated.package_lists.read("cut")
