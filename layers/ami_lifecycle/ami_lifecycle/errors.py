"""Every error that this service names, in one tree.

    AmiLifecycleError
    ├── InputError                   the request or the settings are wrong; never retried
    │   ├── InvalidRequestError          no known shape, or a field has an impossible value
    │   ├── UnknownEnvironmentError      the environment is not configured
    │   ├── SettingsError                the configuration does not make sense
    │   ├── RepositoryNotFoundError      the repository is not in this account and Region
    │   ├── ImageTagNotFoundError        the tag is not in the repository
    │   ├── ImageDigestNotFoundError     the digest is not in the repository
    │   ├── RecordNotFoundError          no image or history record to publish again
    │   ├── ApprovalNotFoundError        nobody has asked for this approval
    │   ├── ParameterUnusableError       a parameter that is written has a shape that cannot be written
    │   └── DockerImageUnusableError     what the tag or digest names is nothing that a builder can run
    ├── TransientError               the same call may succeed later; retried by the state machine
    │   ├── ThrottledError               AWS said: slower
    │   ├── ServiceUnavailableError      AWS did not answer, or answered 5xx
    │   ├── ResourceNotVisibleError      eventual consistency: made, and not shown yet
    │   ├── AgentNotOnlineError          the instance has not registered with Systems Manager yet
    │   ├── CapacityUnavailableError     no instance type in any subnet at this moment
    │   ├── LaunchUnfinishedError        the time ran out before every type and subnet was tried
    │   ├── PublicationPendingError      `latest` does not read back as it was written yet
    │   ├── ClaimContendedError          a conditional write lost a race; look again
    │   ├── ClaimBusyError               a function of the claim's holder may still be writing
    │   └── CleanUpIncompleteError       something is not gone yet
    ├── RefusedError                 a safety stop: a person decides
    │   ├── AccessDeniedError            a permission is missing
    │   ├── ClaimLostError               another execution holds the environment
    │   ├── ForeignResourceError         it does not carry our tags
    │   ├── QuotaExceededError           a quota of the account is too small for what is asked
    │   ├── ImageNotAllowedError         the account's setting Allowed AMIs hides an image that is needed
    │   ├── ImageNotVerifiedError        nothing unverified is published
    │   ├── ApprovalMissingError         nobody has approved what is to be published
    │   ├── ApprovalExpiredError         the request for approval has ended before it was decided
    │   ├── ApprovalSupersededError      a newer request has taken its place
    │   ├── ApprovalDecidedError         it was decided before, otherwise
    │   ├── OwnApprovalError             whoever asks does not approve
    │   ├── ImageNotScannedError         the environment asks for a scan, and there is none
    │   ├── VulnerabilitiesFoundError    the scan has found more than the environment lets pass
    │   ├── PromotionRefusedError        the release does not fit the environment, or is none to go on with
    │   ├── NoPreviousImageError         an alarm is to undo a publication, and there is nothing to go back to
    │   ├── RetirementLimitError         more images would go at once than the settings allow
    │   └── ImageMismatchError           the registered copy is not the image that was verified
    └── BuildError                   the image, the script or an instance is at fault
        ├── AgentTooOldError             the SSM agent in the base image cannot run our documents
        ├── BuilderLostError             the builder died
        ├── CanaryLostError              the canary died
        ├── CommandUndeliveredError      the agent never took the command
        ├── DocumentInterruptedError     what a document needs did not answer, or refused
        ├── ProvisioningFailedError      the provisioning document failed
        ├── ImageCreationFailedError     EC2 could not make the image
        └── VerificationFailedError      the canary refused the image

Step Functions matches the name of the class, never its base, so the state machine lists each
transient error by name; a test holds both in agreement.
"""

from __future__ import annotations


class AmiLifecycleError(Exception):
    """Base of all; its message says what happened, to which resource, and what to do next."""

    def __init__(self, message: str = "", *, hint: str | None = None) -> None:
        """An error whose message ends in the hint: what to do next, where it is told apart."""
        joint = ". " if hint and hint[0].isupper() else "; "
        super().__init__(f"{message}{joint}{hint}" if hint else message)
        self.hint = hint


class InputError(AmiLifecycleError):
    """The request or the settings are wrong; trying again changes nothing."""


class InvalidRequestError(InputError):
    """The input has no known shape, or a field has an impossible value."""


class UnknownEnvironmentError(InputError):
    """The environment is not configured."""


class SettingsError(InputError):
    """The configuration does not make sense."""


class RepositoryNotFoundError(InputError):
    """The repository is not in this account and Region."""


class ImageTagNotFoundError(InputError):
    """The tag is not in the repository."""


class ImageDigestNotFoundError(InputError):
    """The digest is not in the repository."""


class RecordNotFoundError(InputError):
    """There is no image or history record to publish again."""


class ApprovalNotFoundError(InputError):
    """Nobody has asked for this approval."""


class ParameterUnusableError(InputError):
    """A parameter that the service writes has a type or data type that its values cannot be written to."""


class DockerImageUnusableError(InputError):
    """What the tag or the digest names is no Docker image, has none for the builder, or cannot be pulled."""


class TransientError(AmiLifecycleError):
    """The same call may succeed later."""


class ThrottledError(TransientError):
    """AWS asked for fewer calls."""


class ServiceUnavailableError(TransientError):
    """AWS did not answer, or answered with a server error."""


class ResourceNotVisibleError(TransientError):
    """The resource was made and is not shown yet (eventual consistency)."""


class AgentNotOnlineError(TransientError):
    """The instance has not registered with Systems Manager yet."""


class CapacityUnavailableError(TransientError):
    """EC2 has none of the instance types in any of the subnets at this moment."""


class LaunchUnfinishedError(TransientError):
    """The function's time ran out before every type was tried in every subnet; the next attempt goes on there."""


class PublicationPendingError(TransientError):
    """The parameter `latest` does not read back as it was written yet."""


class ClaimContendedError(TransientError):
    """A conditional write lost a race; the next look decides anew."""


class ClaimBusyError(TransientError):
    """A function of the claim's holder may still be writing; it cannot be later than its own timeout."""


class CleanUpIncompleteError(TransientError):
    """Something that has to go is not gone yet."""


class RefusedError(AmiLifecycleError):
    """A safety stop: a person decides."""


class AccessDeniedError(RefusedError):
    """A permission is missing."""


class ClaimLostError(RefusedError):
    """Another execution holds the environment, or nobody does."""


class ForeignResourceError(RefusedError):
    """The resource does not carry the tags of this application and environment."""


class QuotaExceededError(RefusedError):
    """A quota of the account is too small for what is asked, however long one waits."""


class ImageNotAllowedError(RefusedError):
    """The account's setting Allowed AMIs hides an image that a build needs."""


class ImageNotVerifiedError(RefusedError):
    """The image was not verified, and the settings do not switch verification off."""


class ApprovalMissingError(RefusedError):
    """Nobody has approved what is to be published, or somebody has rejected it."""


class ApprovalExpiredError(RefusedError):
    """The request for approval has ended before it was decided."""


class ApprovalSupersededError(RefusedError):
    """A newer request for approval has taken its place."""


class ApprovalDecidedError(RefusedError):
    """It was decided before, otherwise."""


class OwnApprovalError(RefusedError):
    """Whoever asks for an approval does not give it himself."""


class ImageNotScannedError(RefusedError):
    """The environment asks for a vulnerability scan of the Docker image, and there is none, or none that is done."""


class VulnerabilitiesFoundError(RefusedError):
    """The scan of the Docker image has found more than the environment lets pass."""


class PromotionRefusedError(RefusedError):
    """The release was built for other settings than the environment has, or must not or need not be promoted."""


class NoPreviousImageError(RefusedError):
    """An alarm is to undo a publication, and what that replaced cannot be published again."""


class RetirementLimitError(RefusedError):
    """More images of an environment would go at once than the settings, or a person, allow."""


class ImageMismatchError(RefusedError):
    """The registered copy differs from the image that was verified."""


class BuildError(AmiLifecycleError):
    """The image, the script or an instance is at fault."""


class AgentTooOldError(BuildError):
    """The SSM agent in the base image is older than our documents need; the next build starts from the base."""


class BuilderLostError(BuildError):
    """The builder died before its work was done."""


class CanaryLostError(BuildError):
    """The canary died before the image was verified."""


class CommandUndeliveredError(BuildError):
    """The command never began on the instance, so it can be sent again without being done twice."""


class DocumentInterruptedError(BuildError):
    """What a document needs of others did not answer, or refused: packages, the registry, Docker's daemon."""


class ProvisioningFailedError(BuildError):
    """The provisioning document failed on the builder."""


class ImageCreationFailedError(BuildError):
    """EC2 could not make the image."""


class VerificationFailedError(BuildError):
    """The canary refused the image."""


def _descendants(base: type[AmiLifecycleError]) -> list[type[AmiLifecycleError]]:
    return [found for child in base.__subclasses__() for found in (child, *_descendants(child))]


def names_of(base: type[AmiLifecycleError]) -> frozenset[str]:
    """Names of all classes below `base`, as Step Functions sees them."""
    return frozenset(found.__name__ for found in _descendants(base))
