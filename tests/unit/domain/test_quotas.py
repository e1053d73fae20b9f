"""Which quota an instance type counts against (EC2 user guide, On-Demand Instance quotas)."""

from __future__ import annotations

import pytest

from ami_lifecycle.domain.quotas import quota_of


@pytest.mark.parametrize(
    ("instance_type", "code"),
    [
        *(
            (each, "L-1216C47A")
            for each in ("m7i.large", "m7i-flex.large", "c7g.xlarge", "t3.micro", "r6i.large")
        ),
        *(
            (each, "L-1216C47A")
            for each in ("a1.medium", "d3.xlarge", "h1.2xlarge", "i4i.large", "im4gn.large")
        ),
        *((each, "L-1216C47A") for each in ("is4gen.large", "z1d.large", "mac1.metal", "")),
        *(
            (each, "L-DB2E81BA")
            for each in ("g4dn.xlarge", "g4ad.xlarge", "g5.xlarge", "g6e.xlarge", "gr6.4xlarge")
        ),
        *((each, "L-DB2E81BA") for each in ("vt1.3xlarge", "g5g.xlarge")),
        *((each, "L-417A185B") for each in ("p2.xlarge", "p3dn.24xlarge", "p4d.24xlarge", "p5.48xlarge")),
        *((each, "L-74FC7D96") for each in ("f1.2xlarge", "f2.6xlarge")),
        *((each, "L-7295265B") for each in ("x1.16xlarge", "x1e.xlarge", "x2gd.medium", "x8g.large")),
        *((each, "L-1945791B") for each in ("inf1.xlarge", "inf2.xlarge")),
        *((each, "L-2C3B7624") for each in ("trn1.2xlarge", "trn1n.32xlarge", "trn2.48xlarge")),
        *((each, "L-6E869C2A") for each in ("dl1.24xlarge", "dl2q.24xlarge")),
        *((each, "L-F7808C92") for each in ("hpc6a.48xlarge", "hpc7g.4xlarge")),
        *((each, "L-43DA4232") for each in ("u-6tb1.56xlarge", "u7i-12tb.224xlarge", "u7in-16tb.224xlarge")),
    ],
)
def test_each_family_counts_against_its_quota(instance_type: str, code: str) -> None:
    quota = quota_of(instance_type)
    assert quota.code == code
    assert code in quota.request
