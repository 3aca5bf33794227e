"""Which recipe a device gets: the decision table in full, and what holds whatever the recipes are.

Cases are written in words: how a recipe's brand, identifiers and model relate to the device's. The expectations are
tables over those words, so that they share nothing with the program, which compares texts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, product
from random import Random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.devices.model import Identity
from heliograph.provisioning.recipes import (
    EXPLANATIONS,
    RESULT_OF,
    Candidate,
    CodeCheck,
    NoWin,
    Reason,
    Result,
    Verdict,
    Win,
    match,
    missing_demands,
)

BRANDS = {"equal": "Samsung", "other case": "sAMSUNG", "spaces": "  Samsung ", "different": "Philips"}
FITTING_BRANDS = {"equal", "other case", "spaces"}

IDENTIFIERS = ("equal", "different", "unknown to the recipe", "unknown to the device", "unknown to both")
FITTING_IDENTIFIERS = {
    # (serial number, MAC address)
    ("equal", "equal"),
    ("equal", "unknown to the recipe"),
    ("equal", "unknown to the device"),
    ("equal", "unknown to both"),
    ("unknown to the recipe", "equal"),
    ("unknown to the device", "equal"),
    ("unknown to both", "equal"),
}
SERIALS = {"equal": " sn-1 ", "different": "SN-2", "unknown to the device": "SN-3"}
MACS = {
    "equal": "00:1B:44:11:3A:B7",
    "different": "00:1B:44:11:3A:B8",
    "unknown to the device": "00:1B:44:11:3A:B9",
}

MODELS = {
    "equal": "QM55C",
    "other case": "qm55c ",
    "different": "QB43R",
    "unnamed": None,
    "unknown to the device": "QM55C",
    "unknown to both": None,
}
FITTING_MODELS = {"equal", "other case", "unnamed", "unknown to both"}

CODES: tuple[CodeCheck, ...] = get_args(CodeCheck)
ALONE: dict[tuple[bool, CodeCheck], str] = {
    # (ownership confirmed, claim code): what a recipe that fits and has no rival comes to
    (False, "none"): "wins",
    (False, "absent"): "ownership_unconfirmed",
    (False, "right"): "wins by code",
    (False, "wrong"): "claim_code_wrong",
    (True, "none"): "wins",
    (True, "absent"): "wins",
    (True, "right"): "wins by code",
    (True, "wrong"): "claim_code_wrong",
}
VOICES: dict[tuple[bool, CodeCheck], int] = {
    # How much a recipe's claim counts among several: the code in the device's hands more than the operator's word.
    (False, "none"): 0,
    (False, "absent"): 0,
    (False, "right"): 2,
    (False, "wrong"): 0,
    (True, "none"): 1,
    (True, "absent"): 1,
    (True, "right"): 2,
    (True, "wrong"): 0,
}
DEVICE = Identity(brand="Samsung", model="QM55C", serial_number="SN-1", mac_address="00:1B:44:11:3A:B7")


@dataclass(frozen=True)
class Claim:
    """A recipe in words, as it stands to the device that registers."""

    brand: str = "equal"
    serial: str = "equal"
    mac: str = "equal"
    model: str = "equal"
    confirmed: bool = False
    code: CodeCheck = "none"
    tenant: int = 1
    number: int = 1

    @property
    def candidate(self) -> Candidate:
        return Candidate(
            recipe_uid=self.number.to_bytes(16, "big"),
            tenant_id=self.tenant,
            identity=Identity(
                brand=BRANDS[self.brand],
                model=MODELS[self.model],
                serial_number=SERIALS.get(self.serial),
                mac_address=MACS.get(self.mac),
            ),
            confirmed=self.confirmed,
            code=self.code,
        )

    @property
    def device(self) -> Identity:
        """The device to which the words apply."""
        unknown = {"unknown to the device", "unknown to both"}
        return Identity(
            brand=DEVICE.brand,
            model=None if self.model in unknown else DEVICE.model,
            serial_number=None if self.serial in unknown else DEVICE.serial_number,
            mac_address=None if self.mac in unknown else DEVICE.mac_address,
        )

    @property
    def misfit(self) -> Reason | None:
        if self.brand not in FITTING_BRANDS or (self.serial, self.mac) not in FITTING_IDENTIFIERS:
            return "identifier_mismatch"
        return None if self.model in FITTING_MODELS else "model_mismatch"

    @property
    def voice(self) -> int:
        return VOICES[self.confirmed, self.code]


FITS = Claim()
HALF = Claim(mac="different")
OTHER_MODEL = Claim(model="different")


def expected(claims: Sequence[Claim]) -> Verdict:
    """Say what has to come of the claims."""
    if not claims:
        return NoWin("no_recipe")
    if len(claims) == 1 and claims[0].misfit is None:
        outcome = ALONE[claims[0].confirmed, claims[0].code]
        if outcome in {"wins", "wins by code"}:
            return Win(claims[0].candidate, outcome == "wins by code")
    loudest = max(claims, key=lambda claim: claim.voice)
    heard = [claim.voice for claim in claims].count(loudest.voice) == 1 and loudest.voice > 0
    if len(claims) > 1 and heard and loudest.misfit is None:
        return Win(loudest.candidate, loudest.code == "right")
    told = [(claim.candidate, told_to(claim, claims)) for claim in claims]
    return NoWin(told_to_device({reason for _, reason in told}, claims), tuple(told))


def told_to(claim: Claim, claims: Sequence[Claim]) -> Reason:
    if claim.misfit is not None:
        return claim.misfit
    if claim.code == "wrong":
        return "claim_code_wrong"
    of_the_same = Counter(other.tenant for other in claims)[claim.tenant]
    return "ambiguous" if of_the_same > 1 or claim.voice else "ownership_unconfirmed"


def told_to_device(reasons: set[Reason], claims: Sequence[Claim]) -> Reason:
    unsettled: list[Reason] = ["claim_code_wrong", "ambiguous", "ownership_unconfirmed"]
    misfits: list[Reason] = ["identifier_mismatch", "model_mismatch"]
    some_fit = any(claim.misfit is None for claim in claims)
    return next(reason for reason in (unsettled if some_fit else misfits) if reason in reasons)


def verdict_on(device: Identity, claims: Sequence[Claim]) -> Verdict:
    return in_one_order(match(device, [claim.candidate for claim in claims]))


def in_one_order(verdict: Verdict) -> Verdict:
    if isinstance(verdict, Win):
        return verdict
    by_number = sorted(verdict.concerned, key=lambda pair: pair[0].recipe_uid)
    return NoWin(verdict.reason, tuple(by_number))


def surprises(rows: Sequence[tuple[Identity, Sequence[Claim]]]) -> list[tuple[Sequence[Claim], Verdict]]:
    found = [(claims, verdict_on(device, claims), expected(claims)) for device, claims in rows]
    return [(claims, verdict) for claims, verdict, right in found if verdict != right]


def numbered(*claims: Claim) -> list[Claim]:
    return [replace(claim, number=number) for number, claim in enumerate(claims, 1)]


def reasons_told(*claims: Claim) -> list[Reason]:
    verdict = verdict_on(DEVICE, numbered(*claims))
    assert isinstance(verdict, NoWin)
    return [reason for _, reason in verdict.concerned]


def winner(*claims: Claim) -> int | None:
    """Return the place in the list of the claim that wins."""
    rows = numbered(*claims)
    verdict = verdict_on(DEVICE, rows)
    return [claim.candidate for claim in rows].index(verdict.candidate) if isinstance(verdict, Win) else None


# The table.


@pytest.mark.parametrize("brand", BRANDS)
@pytest.mark.parametrize("model", MODELS)
def test_every_relation_of_one_recipe_to_the_device_is_decided_by_the_table(brand: str, model: str) -> None:
    claims = [
        Claim(brand, serial, mac, model, confirmed, code)
        for serial, mac, confirmed, code in product(IDENTIFIERS, IDENTIFIERS, (False, True), CODES)
    ]
    assert len(claims) == 25 * 2 * 4
    assert surprises([(claim.device, [claim]) for claim in claims]) == []


def test_seven_of_the_twenty_five_relations_of_identifiers_fit() -> None:
    relations = [Claim(serial=serial, mac=mac) for serial, mac in product(IDENTIFIERS, IDENTIFIERS)]
    winning = {(claim.serial, claim.mac) for claim in relations if isinstance(verdict_on(claim.device, [claim]), Win)}
    assert winning == FITTING_IDENTIFIERS


KINDS = [
    replace(claim, confirmed=confirmed, code=code)
    for claim, confirmed, code in product((FITS, HALF, OTHER_MODEL), (False, True), CODES)
]


@pytest.mark.parametrize("tenants", [(1, 1), (1, 2), (2, 1)])
def test_every_pair_of_recipes_is_decided_by_the_table(tenants: tuple[int, ...]) -> None:
    assert surprises([(DEVICE, owned_by(tenants, pair)) for pair in product(KINDS, repeat=2)]) == []


@pytest.mark.parametrize("tenants", [(1, 1, 1), (1, 1, 2), (1, 2, 1), (2, 1, 1), (1, 2, 3)])
def test_every_three_recipes_are_decided_by_the_table(tenants: tuple[int, ...]) -> None:
    triples = combinations_with_replacement(KINDS, 3)
    assert surprises([(DEVICE, owned_by(tenants, triple)) for triple in triples]) == []


def owned_by(tenants: Sequence[int], claims: Sequence[Claim]) -> list[Claim]:
    return numbered(*(replace(claim, tenant=tenant) for tenant, claim in zip(tenants, claims, strict=True)))


# The same in words.


def test_device_without_any_recipe_is_told_so() -> None:
    assert match(DEVICE, []) == NoWin("no_recipe", ())


def test_one_recipe_that_fits_is_applied_though_nobody_confirmed_it() -> None:
    assert match(DEVICE, [FITS.candidate]) == Win(FITS.candidate, by_code=False)


@pytest.mark.parametrize("spelling", ["SN-1", "sn-1", "  Sn-1\t"])
def test_serial_number_is_compared_whatever_its_case_and_the_space_around_it(spelling: str) -> None:
    recipe = Claim(mac="unknown to the recipe", model="unnamed").candidate
    assert isinstance(match(Identity(brand=" SAMSUNG", serial_number=spelling), [recipe]), Win)


def test_same_serial_number_of_another_brand_is_another_device() -> None:
    assert reasons_told(Claim(brand="different", mac="unknown to the recipe")) == ["identifier_mismatch"]


def test_same_mac_address_under_another_brand_contradicts_the_recipe() -> None:
    assert reasons_told(Claim(brand="different", serial="unknown to the recipe")) == ["identifier_mismatch"]


@pytest.mark.parametrize("half", [Claim(mac="different"), Claim(serial="different")])
@pytest.mark.parametrize("code", CODES)
def test_half_matching_recipe_never_wins_even_confirmed_and_with_its_code(half: Claim, code: CodeCheck) -> None:
    assert reasons_told(replace(half, confirmed=True, code=code)) == ["identifier_mismatch"]


def test_recipe_that_names_a_model_does_not_fit_a_device_that_says_none() -> None:
    claim = Claim(model="unknown to the device")
    assert match(claim.device, [claim.candidate]) == NoWin("model_mismatch", ((claim.candidate, "model_mismatch"),))


def test_recipe_with_a_claim_code_waits_for_it_until_an_operator_confirms() -> None:
    assert reasons_told(Claim(code="absent")) == ["ownership_unconfirmed"]
    assert winner(Claim(code="absent", confirmed=True)) == 0


def test_wrong_claim_code_is_refused_even_when_the_ownership_is_confirmed() -> None:
    assert reasons_told(Claim(code="wrong", confirmed=True)) == ["claim_code_wrong"]


def test_right_claim_code_wins_and_is_named_as_the_cause() -> None:
    assert match(DEVICE, [Claim(code="right").candidate]) == Win(Claim(code="right").candidate, by_code=True)


def test_two_organizations_with_unconfirmed_claims_both_wait() -> None:
    assert reasons_told(FITS, replace(FITS, tenant=2)) == ["ownership_unconfirmed"] * 2


def test_of_two_organizations_the_one_that_confirmed_wins() -> None:
    assert winner(FITS, Claim(tenant=2, confirmed=True)) == 1


def test_of_two_organizations_that_both_confirmed_none_wins() -> None:
    assert reasons_told(Claim(confirmed=True), Claim(tenant=2, confirmed=True)) == ["ambiguous", "ambiguous"]


def test_claim_code_outweighs_the_confirmation_of_another() -> None:
    assert winner(Claim(confirmed=True), Claim(tenant=2, code="right")) == 1


def test_two_recipes_of_one_organization_are_ambiguous() -> None:
    by_serial, by_mac = Claim(mac="unknown to the recipe"), Claim(serial="unknown to the recipe")
    assert reasons_told(by_serial, by_mac) == ["ambiguous", "ambiguous"]
    assert winner(by_serial, replace(by_mac, confirmed=True)) == 1


def test_recipe_that_fits_does_not_win_beside_a_half_matching_one_until_it_is_confirmed() -> None:
    assert reasons_told(FITS, replace(HALF, tenant=2)) == ["ownership_unconfirmed", "identifier_mismatch"]
    assert winner(replace(FITS, confirmed=True), replace(HALF, tenant=2)) == 0


def test_confirmed_recipe_is_never_told_to_confirm() -> None:
    half_with_code = replace(HALF, code="right", tenant=2)
    assert reasons_told(Claim(confirmed=True), half_with_code) == ["ambiguous", "identifier_mismatch"]


def test_device_that_fits_somewhere_is_asked_to_wait_rather_than_sent_away() -> None:
    verdict = verdict_on(DEVICE, numbered(FITS, replace(HALF, tenant=2)))
    assert isinstance(verdict, NoWin)
    assert RESULT_OF[verdict.reason] == "pending"


# What holds whatever the recipes are.


@st.composite
def meetings(draw: st.DrawFn, tenants: int = 3) -> tuple[Identity, list[Claim]]:
    """Draw a device, and recipes in words that apply to it."""
    known = {"equal", "different", "unknown to the recipe"}
    has_serial, has_mac, has_model = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    models = {"equal", "other case", "different", "unnamed"}
    claim = st.builds(
        Claim,
        brand=st.sampled_from(sorted(BRANDS)),
        serial=st.sampled_from(sorted(known if has_serial else set(IDENTIFIERS) - known)),
        mac=st.sampled_from(sorted(known if has_mac else set(IDENTIFIERS) - known)),
        model=st.sampled_from(sorted(models if has_model else set(MODELS) - models)),
        confirmed=st.booleans(),
        code=st.sampled_from(CODES),
        tenant=st.integers(1, tenants),
    )
    device = Identity(
        brand=DEVICE.brand,
        model=DEVICE.model if has_model else None,
        serial_number=DEVICE.serial_number if has_serial else None,
        mac_address=DEVICE.mac_address if has_mac else None,
    )
    return device, numbered(*draw(st.lists(claim, max_size=6)))


@given(meetings())
@settings(deadline=None, max_examples=300)
def test_any_number_of_recipes_is_decided_by_the_table(meeting: tuple[Identity, list[Claim]]) -> None:
    assert verdict_on(*meeting) == expected(meeting[1])


@given(meetings(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_order_of_the_recipes_never_changes_the_verdict(meeting: tuple[Identity, list[Claim]], random: Random) -> None:
    device, claims = meeting
    candidates = [claim.candidate for claim in claims]
    verdict = match(device, candidates)
    random.shuffle(candidates)
    assert match(device, candidates) == verdict


@given(meetings())
@settings(deadline=None, max_examples=300)
def test_winner_is_one_of_the_recipes_and_would_fit_alone(meeting: tuple[Identity, list[Claim]]) -> None:
    device, claims = meeting
    verdict = match(device, [claim.candidate for claim in claims])
    if isinstance(verdict, Win):
        (won,) = [claim for claim in claims if claim.candidate == verdict.candidate]
        alone = match(device, [won.candidate])
        assert won.misfit is None
        assert alone == verdict
    else:
        told = [candidate for candidate, _ in verdict.concerned]
        assert sorted(told, key=lambda candidate: candidate.recipe_uid) == [claim.candidate for claim in claims]


@given(meetings(), meetings(tenants=4))
@settings(deadline=None, max_examples=300)
def test_nobody_learns_what_other_organizations_have_while_no_recipe_wins(
    meeting: tuple[Identity, list[Claim]], others: tuple[Identity, list[Claim]]
) -> None:
    device, claims = meeting
    own = [claim.candidate for claim in claims if claim.tenant == 1]
    rivals = [claim.candidate for claim in claims if claim.tenant != 1]
    strangers = [replace(claim, tenant=9, number=100 + claim.number).candidate for claim in others[1]]
    verdicts = [match(device, [*own, *rest]) for rest in (rivals, strangers, [])]
    told = [
        {candidate.recipe_uid: reason for candidate, reason in verdict.concerned if candidate.tenant_id == 1}
        for verdict in verdicts
        if isinstance(verdict, NoWin)
    ]
    assert all(reasons == told[0] for reasons in told)


# The words.


def test_every_reason_is_explained_and_has_a_result() -> None:
    assert set(EXPLANATIONS) == set(RESULT_OF) == set(get_args(Reason))
    assert set(RESULT_OF.values()) == set(get_args(Result)) - {"applied"}


@pytest.mark.parametrize("reason", get_args(Reason))
def test_explanation_is_a_sentence_that_speaks_of_no_other_organization(reason: Reason) -> None:
    words = EXPLANATIONS[reason]
    assert re.search(r"tenant|organi[sz]ation|compan|elsewhere|somebody|someone|customer", words, re.IGNORECASE) is None
    assert words[0].isupper()
    assert words.endswith(".")


def test_device_is_sent_away_only_when_trying_again_cannot_help() -> None:
    sent_away = {reason for reason, result in RESULT_OF.items() if result == "refused"}
    assert sent_away == {"identifier_mismatch", "model_mismatch", "claim_code_wrong", "rejected_repeat"}


# What some brands demand.

DEMANDS = {"samsung": ("serialNumber", "macAddress"), "lg": ("model",)}


@pytest.mark.parametrize(
    ("identity", "lacking"),
    [
        (Identity(brand="Samsung", serial_number="SN-1", mac_address="00:1B:44:11:3A:B7"), []),
        (Identity(brand=" SAMSUNG ", serial_number="SN-1"), ["/macAddress"]),
        (Identity(brand="samsung"), ["/serialNumber", "/macAddress"]),
        (Identity(brand="LG", serial_number="SN-1"), ["/model"]),
        (Identity(brand="Philips", serial_number="SN-1"), []),
    ],
)
def test_brand_that_demands_more_is_refused_without_it(identity: Identity, lacking: list[str]) -> None:
    faults = missing_demands(identity, DEMANDS)
    assert [(fault.pointer, fault.rule) for fault in faults] == [(place, "brand-demands") for place in lacking]


def test_demands_are_named_at_the_place_of_the_identity() -> None:
    (fault,) = missing_demands(Identity(brand="LG"), DEMANDS, "/recipes/3")
    assert fault.pointer == "/recipes/3/model"
