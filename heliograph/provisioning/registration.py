"""A device says who it is: which recipe it gets, in whatever tenant within the caller's reach, and what is told.

A refusal that must be remembered, an attempt in vain or a wrong claim code, is a value here and no exception: it
commits with everything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from heliograph.clock import MICROSECONDS
from heliograph.devices import actions as devices
from heliograph.devices.model import Device, Identity, Settings
from heliograph.ids import Secret, Uid, new_uid
from heliograph.provisioning import actions, changes, claims, store
from heliograph.provisioning.applying import Applied, Failed, apply, save
from heliograph.provisioning.model import Attempt
from heliograph.provisioning.recipes import (
    EXPLANATIONS,
    RESULT_OF,
    Candidate,
    CodeCheck,
    NoWin,
    Reason,
    Recipe,
    Result,
    match,
    misfit,
)
from heliograph.references import actions as references
from heliograph.storage.engine import Transaction
from heliograph.tenancy import device_tokens
from heliograph.tenancy.access import reach, require, require_anywhere, visible_roots
from heliograph.tenancy.model import Caller, Scope

REGISTER = "register device.tenant"

MOST_CANDIDATES = 20
"""Recipes that one registration is held against. Where more wait, the identifier is none, such as "N/A"."""

_encode = msgspec.json.Encoder().encode


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a device presents. `device_token` is the one that it got before and wants replaced."""

    identity: Identity
    claim_code: Secret | None = None
    device_token: Secret | None = None


class Survey(msgspec.Struct, frozen=True):
    """What was found out before the write: the tenants it may touch, and the slow hash of the code per recipe."""

    tenants: tuple[int, ...]
    hashes: dict[bytes, bytes]


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a device. `token` is there when it has a new one, `fresh` when it was enrolled just now."""

    result: Result
    reason: Reason | None = None
    device: Device | None = None
    organization_uid: str | None = None
    token: Secret | None = None
    fresh: bool = False


class OutOfDate(msgspec.Struct, frozen=True):
    """The world changed between survey and write; both are to be done again."""


class _Seen(msgspec.Struct, frozen=True):
    """Who has to do with the presented identifiers, within the caller's reach.

    `crowded` when so many recipes wait for them that they cannot be any one device's.
    """

    scopes: dict[int, Scope]
    holders: set[tuple[int, bytes]]
    elsewhere: bool
    waiting: list[tuple[int, bytes]]
    crowded: bool


def _look(tx: Transaction, caller: Caller, identity: Identity, tenant_uid: Uid | None) -> _Seen:
    below = None if tenant_uid is None else require(tx, caller, REGISTER, tenant_uid).tenant_id
    holders = set(devices.holders(tx, identity.identifiers).values())
    roots = visible_roots(caller, REGISTER) if below is None else [below]
    waiting = store.waiting_below(tx, roots, identity.identifiers, MOST_CANDIDATES + 1)
    scopes = reach(tx, caller, REGISTER, [tenant_id for tenant_id, _ in [*holders, *waiting]], below)
    return _Seen(
        scopes=scopes,
        holders={holder for holder in holders if holder[0] in scopes},
        elsewhere=any(tenant_id not in scopes for tenant_id, _ in holders),
        waiting=[place for place in waiting if place[0] in scopes],
        crowded=len(waiting) > MOST_CANDIDATES,
    )


def survey(
    tx: Transaction, caller: Caller, wish: Wish, tenant_uid: Uid | None, hash_code: Callable[[bytes, str], bytes]
) -> Survey:
    """Find out in which tenants a registration may write, and do what is too slow for a write.

    Raises:
        Denied, NotFound: when the caller may register devices nowhere, or not in the tenant that is named.
    """
    home = _home(tx, caller, tenant_uid)
    seen = _look(tx, caller, wish.identity, tenant_uid)
    code = wish.claim_code
    if seen.crowded:
        return Survey((home.tenant_id,), {})
    to_compare = [] if code is None else _guessable(tx, caller, _concerned_recipes(tx, seen))
    hashes = {uid: hash_code(uid, code.reveal()) for uid in to_compare if code is not None}
    return Survey(tuple(sorted({home.tenant_id, *seen.scopes})), hashes)


def _home(tx: Transaction, caller: Caller, tenant_uid: Uid | None) -> Scope:
    return require_anywhere(tx, caller, REGISTER) if tenant_uid is None else require(tx, caller, REGISTER, tenant_uid)


def _concerned_recipes(tx: Transaction, seen: _Seen) -> list[tuple[Scope, Recipe]]:
    places = list(seen.waiting)
    for tenant_id, device_uid in seen.holders:
        device = devices.find(tx, seen.scopes[tenant_id], device_uid)
        if device is not None and device.recipe_uid is not None:
            places.append((tenant_id, device.recipe_uid))
    found: list[tuple[Scope, Recipe]] = []
    for tenant_id in sorted({tenant_id for tenant_id, _ in places}):
        uids = sorted({uid for place, uid in places if place == tenant_id})
        found += [(seen.scopes[tenant_id], recipe) for recipe in store.find_recipes(tx, seen.scopes[tenant_id], uids)]
    return found


def _guessable(tx: Transaction, caller: Caller, concerned: Sequence[tuple[Scope, Recipe]]) -> list[bytes]:
    """Return the recipes that have a claim code to which the caller may still present one."""
    return [
        recipe.uid
        for scope, recipe in concerned
        if recipe.claim_hash is not None and not _is_worn_out(tx, scope, recipe, caller)
    ]


def _is_worn_out(tx: Transaction, scope: Scope, recipe: Recipe, caller: Caller) -> bool:
    tries = store.claim_tries(tx, scope, recipe.uid, caller.credential, _tries_since(tx))
    return tries >= claims.MOST_TRIES


def _tries_since(tx: Transaction) -> int:
    return tx.now - claims.TRIES_WINDOW_SECONDS * MICROSECONDS


def register(
    tx: Transaction, caller: Caller, wish: Wish, tenant_uid: Uid | None, found: Survey
) -> Registration | OutOfDate:
    """Let a device register: a known one is known again, a new one gets the recipe that `recipes.match` chooses.

    An enrolled device that is out of the caller's reach is treated like one that nobody waits for.
    """
    # The claim on the identifiers can be lost to another process; what that one did is then seen in a second look.
    for _ in range(2):
        seen = _look(tx, caller, wish.identity, tenant_uid)
        desk = _Desk(tx, caller, wish, _home(tx, caller, tenant_uid), found.hashes)
        if seen.crowded:
            return desk.turn_away("ambiguous")
        if not set(seen.scopes) <= set(found.tenants):
            return OutOfDate()
        concerned = _concerned_recipes(tx, seen)
        if wish.claim_code is not None and not set(_guessable(tx, caller, concerned)) <= set(found.hashes):
            return OutOfDate()
        if seen.holders:
            return desk.repeat(seen, concerned)
        if seen.elsewhere:
            break
        answer = desk.match(concerned)
        if answer is not None:
            return answer
    # Enrolled elsewhere; or lost twice, since the recipe names one more identifier, and that one is enrolled already.
    return desk.turn_away("no_recipe")


def _still_there(tx: Transaction, scope: Scope, settings: Settings) -> Settings:
    """Return settings without the references that are gone; an applied recipe keeps naming them."""
    gone = {lost.uid for lost in references.missing(tx, scope, settings)}
    return msgspec.structs.replace(
        settings,
        tag_uids=tuple(uid for uid in settings.tag_uids if uid not in gone),
        policy_uid=None if settings.policy_uid in gone else settings.policy_uid,
        location_uid=None if settings.location_uid in gone else settings.location_uid,
    )


class _Desk:
    """One registration within one transaction."""

    def __init__(self, tx: Transaction, caller: Caller, wish: Wish, home: Scope, hashes: dict[bytes, bytes]) -> None:
        self._tx = tx
        self._caller = caller
        self._wish = wish
        self._home = home
        self._hashes = hashes

    # -- a device that nobody has yet -------------------------------------------------------------------------------

    def match(self, concerned: Sequence[tuple[Scope, Recipe]]) -> Registration | None:
        """Give the device its recipe, or tell everybody concerned why not; None when the claim was lost."""
        recipes = {recipe.uid: (scope, recipe) for scope, recipe in concerned}
        checks = {recipe.uid: self._check_code(scope, recipe) for scope, recipe in concerned}
        for scope, recipe in concerned:
            if checks[recipe.uid] == "wrong":
                self._count_wrong_code(scope, recipe)
        verdict = match(
            self._wish.identity,
            [
                Candidate(
                    recipe_uid=recipe.uid, tenant_id=scope.tenant_id, identity=recipe.identity,
                    confirmed=recipe.confirmed_ownership, code=checks[recipe.uid],
                )
                for scope, recipe in concerned
            ],
        )  # fmt: skip
        if isinstance(verdict, NoWin):
            return self._disappoint(verdict, recipes)
        scope, recipe = recipes[verdict.candidate.recipe_uid]
        return self._apply(scope, recipe, verdict.by_code)

    def _apply(self, scope: Scope, recipe: Recipe, by_code: bool) -> Registration | None:
        tx = self._tx
        if recipe.status == "Failed":
            reason = actions.missing_reason(tx, scope, recipe)
            if reason is not None:
                self._warn(scope, recipe, reason)
                return self.turn_away(reason, scope, recipe)
            recipe = actions.wait_again(tx, scope, recipe, recipe)
        verification_hash = recipe.claim_hash.hex() if by_code and recipe.claim_hash else None
        outcome = apply(tx, scope, recipe, self._wish.identity, verification_hash)
        if isinstance(outcome, Applied):
            token = device_tokens.issue(tx, scope, outcome.device.uid)
            return Registration(
                result="applied", device=outcome.device, organization_uid=scope.tenant_uid, token=token, fresh=True
            )
        if isinstance(outcome, Failed):
            return self.turn_away(outcome.reason, scope, outcome.recipe)
        return None

    def _disappoint(self, verdict: NoWin, recipes: dict[bytes, tuple[Scope, Recipe]]) -> Registration:
        for candidate, reason in verdict.concerned:
            scope, recipe = recipes[candidate.recipe_uid]
            self._warn(scope, recipe, reason)
            self._note(scope, recipe, reason)
        if not verdict.concerned:
            self._note(self._home, None, verdict.reason)
        return Registration(result=RESULT_OF[verdict.reason], reason=verdict.reason)

    # -- a device that is enrolled already --------------------------------------------------------------------------

    def repeat(self, seen: _Seen, concerned: Sequence[tuple[Scope, Recipe]]) -> Registration:
        """Know an enrolled device again, as its recipe wants that."""
        tx = self._tx
        tenant_id, device_uid = min(seen.holders)
        scope = seen.scopes[tenant_id]
        device = devices.get(tx, scope, device_uid)
        # The model is what the device says now; a repeat is told by what identifies it.
        known = msgspec.structs.replace(device.identity, model=None)
        if len(seen.holders) > 1 or misfit(self._wish.identity, known):
            return self._contradict(scope, concerned)
        recipe = actions.find(tx, scope, device.recipe_uid) if device.recipe_uid else None
        if recipe is not None and recipe.on_repeat == "reject":
            return self.turn_away("rejected_repeat", scope, recipe)
        check = self._check_code(scope, recipe) if recipe is not None else "none"
        if recipe is not None and check == "wrong":
            self._count_wrong_code(scope, recipe)
            return self.turn_away("claim_code_wrong", scope, recipe)
        if recipe is not None and recipe.claim_hash is not None and check == "right":
            save(tx, scope, recipe, msgspec.structs.replace(recipe, claim_used_at=tx.now), None)
            device = devices.pair(tx, scope, device, recipe.claim_hash.hex())
        token = device_tokens.issue(tx, scope, device.uid) if self._earns_token(scope, device, check) else None
        if recipe is not None and recipe.on_repeat == "reset":
            wanted = _still_there(tx, scope, recipe.settings)
            # A recipe names no connected account, so it does not mean that there is to be none.
            account_uid = device.settings.connected_account_uid
            wanted = msgspec.structs.replace(wanted, connected_account_uid=account_uid)
            device = devices.reset(tx, scope, device, wanted)
        return Registration(result="applied", device=device, organization_uid=scope.tenant_uid, token=token)

    def _earns_token(self, scope: Scope, device: Device, check: CodeCheck) -> bool:
        """Tell whether an enrolled device gets a token now: it never had one, or proves that it may replace its own."""
        if check == "right" or not device_tokens.exists(self._tx, scope, device.uid):
            return True
        shown = self._wish.device_token
        return shown is not None and device_tokens.is_token_of(self._tx, scope, device.uid, shown.reveal())

    def _contradict(self, scope: Scope, concerned: Sequence[tuple[Scope, Recipe]]) -> Registration:
        """Tell everybody concerned that a device mixes what belongs to several; `scope` keeps what nobody else does."""
        for where, recipe in concerned:
            if recipe.status in actions.LIVE_BEFORE_ITS_DEVICE:
                self._warn(where, recipe, "identifier_mismatch")
            self._note(where, recipe, "identifier_mismatch")
        if not concerned:
            self._note(scope, None, "identifier_mismatch")
        return Registration(result=RESULT_OF["identifier_mismatch"], reason="identifier_mismatch")

    # -- what both share --------------------------------------------------------------------------------------------

    def turn_away(self, reason: Reason, scope: Scope | None = None, recipe: Recipe | None = None) -> Registration:
        """Answer that the device was not enrolled, and keep the attempt."""
        self._note(scope or self._home, recipe, reason)
        return Registration(result=RESULT_OF[reason], reason=reason)

    def _check_code(self, scope: Scope, recipe: Recipe) -> CodeCheck:
        if recipe.claim_hash is None or recipe.claim_used_at is not None:
            return "none"
        if self._wish.claim_code is None:
            return "absent"
        expired = recipe.claim_expires_at is not None and recipe.claim_expires_at <= self._tx.now
        presented = self._hashes.get(recipe.uid)
        if presented is None or expired or _is_worn_out(self._tx, scope, recipe, self._caller):
            return "wrong"
        return "right" if claims.is_right(recipe.claim_hash, presented) else "wrong"

    def _count_wrong_code(self, scope: Scope, recipe: Recipe) -> None:
        store.count_claim_try(self._tx, scope, recipe.uid, self._caller.credential, _tries_since(self._tx))

    def _warn(self, scope: Scope, recipe: Recipe, reason: Reason) -> None:
        """Tell the recipe's operator, unless the same was the last that they were told."""
        warned = msgspec.structs.replace(recipe, warning_message=EXPLANATIONS[reason])
        if warned != recipe:
            save(self._tx, scope, recipe, warned, changes.updated)

    def _note(self, scope: Scope, recipe: Recipe | None, reason: Reason) -> None:
        attempt = Attempt(
            uid=new_uid(), recipe_uid=recipe.uid if recipe else None, reason=reason, identity=self._wish.identity,
            caller_uid=self._caller.credential, first_at=self._tx.now, last_at=self._tx.now,
        )  # fmt: skip
        same: Any = (attempt.recipe_uid, reason, attempt.identity, attempt.caller_uid)
        store.note_attempt(self._tx, scope, attempt, hashlib.blake2b(_encode(same), digest_size=16).digest())
