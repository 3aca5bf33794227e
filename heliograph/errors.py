"""The kinds of refusal that the platform knows; the HTTP edge maps each kind to one status."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken rule: where, which rule, and the words for people.

    `pointer` is an RFC 6901 pointer into the body, or `query/<name>`, `header/<name>` or `path/<name>`.
    """

    pointer: str
    rule: str
    message: str


class Refusal(Exception):
    """A request that was understood and is not carried out; nothing of it is stored."""

    def __init__(self, detail: str, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = faults


class CannotStart(Exception):
    """The platform cannot be opened; the message is one line that tells the operator why and what helps.

    No refusal: nobody has asked for anything yet.
    """


class Invalid(Refusal):
    """The request itself is wrong: unreadable, of the wrong type, or against a documented rule."""

    @classmethod
    def at(cls, pointer: str, rule: str, message: str) -> Invalid:
        """Refuse one place of the input for one rule."""
        return cls(message, (Fault(pointer, rule, message),))


class Unprocessable(Invalid):
    """The request is well formed, but a rule that the tenant itself has set refuses it."""


class TooLarge(Invalid):
    """The request exceeds a size limit."""


class UnsupportedMediaType(Invalid):
    """The content type of the body is not one that the route reads."""


class Unauthenticated(Refusal):
    """No key, or a key that does not exist or no longer works."""


class Denied(Refusal):
    """The caller sees the thing but lacks the permission, which `detail` names."""


class NotFound(Refusal):
    """The thing does not exist, or the caller may not know that it does."""


class Conflict(Refusal):
    """The request contradicts the present state."""


class PreconditionFailed(Refusal):
    """`If-Match` names another version than the present one."""


def require_version(wanted: int | None, present: int) -> None:
    """Make sure that a resource is changed as its caller knows it; None stands for any version.

    Raises:
        PreconditionFailed: when it has another version by now.
    """
    if wanted is not None and wanted != present:
        raise PreconditionFailed("The resource has changed since; read it again.")


class Gone(Refusal):
    """The thing existed and was removed for good."""


class TooMany(Refusal):
    """A rate or quota is used up; `retry_after` is in seconds."""

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Unavailable(Refusal):
    """The platform cannot serve the request now; `retry_after` is in seconds."""

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
