"""Going back: which images can be published again, for whoever asks."""

from __future__ import annotations

from ami_lifecycle.domain.model import Image, ImageState
from ami_lifecycle.domain.record import HistoryRecord
from ami_lifecycle.domain.settings import EnvironmentSettings


def can_be_published_again(
    image: Image | None, record: HistoryRecord | None, settings: EnvironmentSettings
) -> bool:
    """Whether an image of an environment can be published again at once, without a build."""
    return (
        image is not None
        and image.state is ImageState.AVAILABLE
        and image.belongs_to(settings.application, settings.environment)
        and record is not None
        and (record.verified_at is not None or not settings.verification.enabled)
    )
