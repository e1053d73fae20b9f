"""History says live of the image that `latest` names, and of no other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ami_lifecycle.domain.history import corrections, doubtful
from ami_lifecycle.domain.record import HistoryRecord, RecordStatus

IDS = [f"ami-{number:017x}" for number in range(1, 6)]


def a_record(image_id: str, status: RecordStatus) -> HistoryRecord:
    return HistoryRecord(
        ami_id=image_id,
        docker_image="registry/comfyui:prod-latest",
        environment="prod",
        creation_date="2026-01-15T12:00:00Z",
        branch=None,
        commit_sha=None,
        region="us-east-1",
        workflow_run_id="e1",
        workflow_run_number="1",
        image_digest="sha256:" + "0" * 64,
        status=status,
    )


@given(
    live=st.sampled_from(IDS),
    statuses=st.dictionaries(st.sampled_from(IDS), st.sampled_from(list(RecordStatus))),
    gone=st.sets(st.sampled_from(IDS)),
)
def test_after_its_corrections_history_agrees_with_latest_and_the_images(
    live: str, statuses: dict[str, RecordStatus], gone: set[str]
) -> None:
    records = {image_id: a_record(image_id, status) for image_id, status in statuses.items()}
    missing = gone & set(doubtful(live, records))
    corrected = dict(statuses) | {
        found.image_id: found.status for found in corrections(live, records, missing)
    }
    assert [image_id for image_id, status in corrected.items() if status is RecordStatus.LIVE] == [live]
    assert all(corrected[image_id] is RecordStatus.RETIRED for image_id in missing)
    again = {image_id: a_record(image_id, status) for image_id, status in corrected.items()}
    assert corrections(live, again, gone & set(doubtful(live, again))) == [], "once is enough"


@given(live=st.sampled_from(IDS), others=st.sets(st.sampled_from(IDS)))
def test_history_in_order_is_left_as_it_is(live: str, others: set[str]) -> None:
    kept = (RecordStatus.SUPERSEDED, RecordStatus.KEPT, RecordStatus.RETIRED)
    records = {image_id: a_record(image_id, kept[index % 3]) for index, image_id in enumerate(sorted(others))}
    records[live] = a_record(live, RecordStatus.LIVE)
    assert corrections(live, records, ()) == []


def test_an_interrupted_publication_says_by_what_it_was_overtaken() -> None:
    records = {
        IDS[0]: a_record(IDS[0], RecordStatus.SUPERSEDED),
        IDS[1]: a_record(IDS[1], RecordStatus.LIVE),
    }
    own, other = corrections(IDS[0], records, ())
    assert (own.image_id, own.status) == (IDS[0], RecordStatus.LIVE)
    assert (other.status, other.superseded_by) == (RecordStatus.SUPERSEDED, IDS[0])


def test_each_correction_says_why() -> None:
    gone = a_record(IDS[2], RecordStatus.SUPERSEDED).model_copy(update={"superseded_by": IDS[1]})
    records = {IDS[1]: a_record(IDS[1], RecordStatus.LIVE), IDS[2]: gone}
    assert corrections(IDS[0], records, {IDS[2]}) == [
        (IDS[0], RecordStatus.LIVE, "`latest` names it", None),
        (
            IDS[1],
            RecordStatus.SUPERSEDED,
            f"`latest` names {IDS[0]}: the publication of this image was interrupted, or undone by hand",
            IDS[0],
        ),
        (IDS[2], RecordStatus.RETIRED, "the image does not exist any more", IDS[1]),
    ]
