"""What an environment asks of the vulnerability scan of a Docker image: `scan` in `build_config.yml`."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, StrictBool, StrictInt, field_validator, model_validator

from ami_lifecycle.domain.forms import Day, PackageName, PlainText, VulnerabilityId
from ami_lifecycle.domain.model import Frozen

# They are part of the plan, which is in the input of every state (256 KiB).
MOST_WAIVERS: Final = 100
_REASON_CHARACTERS: Final = 200
_Limit = Annotated[int, Field(strict=True, ge=0, le=100_000)] | None


class MaxFindings(Frozen):
    """How many findings of each severity pass; a severity without a number has no limit."""

    critical: _Limit = 0
    high: _Limit = None
    medium: _Limit = None
    low: _Limit = None
    informational: _Limit = None
    untriaged: _Limit = None

    @model_validator(mode="after")
    def _worse_ones_have_a_limit(self) -> Self:
        ranked = (
            ("critical", self.critical),
            ("high", self.high),
            ("medium", self.medium),
            ("low", self.low),
            ("informational", self.informational),
        )
        for position, (worse, limit) in enumerate(ranked):
            below = next((name for name, each in ranked[position + 1 :] if each is not None), None)
            if limit is None and below is not None:
                raise ValueError(
                    f"max_findings has a limit for {below} and none for {worse}, which is worse; write a number for "
                    f"{worse}, too"
                )
        return self


class Waiver(Frozen):
    """A vulnerability that does not count until the end of a day (UTC), in one package or in all."""

    id: VulnerabilityId
    reason: Annotated[PlainText, Field(max_length=_REASON_CHARACTERS)]
    expires: Day
    package: PackageName | None = None

    @field_validator("reason")
    @classmethod
    def _reason_has_words(cls, reason: str) -> str:
        if not reason.strip():
            raise ValueError("reason is empty; say why the finding does no harm here, for who reads it later")
        return reason


class ScanSettings(Frozen):
    """The vulnerability gate: ECR's scan of the Docker image is read before anything is built or promoted. An
    environment without `scan` has no gate; `scan: {}` is the gate with its defaults, and `enabled: false` takes away
    that of `defaults`. See gates.md.
    """

    enabled: StrictBool = True
    max_findings: MaxFindings = Field(default_factory=MaxFindings)
    only_fixable: StrictBool = False
    missing: Literal["refuse", "allow"] = "refuse"
    wait_minutes: StrictInt = Field(15, ge=0, le=240)
    waivers: tuple[Waiver, ...] = Field((), max_length=MOST_WAIVERS)

    @model_validator(mode="after")
    def _waivers_are_said_once(self) -> Self:
        known: set[tuple[str, str | None]] = set()
        for waiver in self.waivers:
            if (waiver.id, waiver.package) in known:
                where = f" in {waiver.package}" if waiver.package else ""
                raise ValueError(f"waivers name {waiver.id}{where} twice; leave one of them")
            known.add((waiver.id, waiver.package))
        return self


def no_scan() -> ScanSettings:
    """What an environment has that says nothing of scans."""
    return ScanSettings(enabled=False)
