"""Whose turn it is to send."""

from __future__ import annotations

from heliograph.clock import MICROSECONDS
from heliograph.delivery.channels import Channel, Job, Slots
from heliograph.delivery.guard import read_url
from heliograph.delivery.rendering import Message
from heliograph.endpoints.model import Endpoint, EndpointSecrets, EndpointSettings
from heliograph.ids import Uid, new_uid

NOW = 1_790_000_000 * MICROSECONDS


def channel_of(owner_id: int, rate: int | None = None) -> Channel:
    settings = EndpointSettings(event_types=("*",), rate=rate)
    url = "https://a.example/hook"
    endpoint = Endpoint(
        uid=new_uid(), url=url, settings=settings, sealed_secrets=b"", created_at=NOW, updated_at=NOW
    )  # fmt: skip
    return Channel(owner_id, Uid(new_uid()), endpoint, EndpointSecrets(keys=()), read_url(url, "/url"))


def jobs_for(channel: Channel, count: int) -> list[Job]:
    message = Message("id", "test", 1, False, None, (), b"")
    return [
        Job(
            channel, message, tenant_id=channel.owner_id, tenant_uid="1" * 32, seq=seq, attempt=1, forgiven=0,
            entity_key=None, exhausted_at=None, claim=b"", until=NOW + 60 * MICROSECONDS,
        )
        for seq in range(count)
    ]  # fmt: skip


def test_owner_that_has_to_wait_for_its_rate_keeps_no_other_waiting() -> None:
    slots = Slots(10)
    paced, free = channel_of(1, rate=1), channel_of(2)
    slots.add(jobs_for(paced, 2))
    (first,) = slots.take(NOW)
    slots.ended(first, NOW, 0.1, success=True)
    slots.add(jobs_for(free, 1))
    assert [job.channel for job in slots.take(NOW)] == [free]


def test_owner_with_nothing_left_keeps_no_other_waiting() -> None:
    slots = Slots(10)
    dropped, free = channel_of(1), channel_of(2)
    slots.add(jobs_for(dropped, 1))
    slots.drop(dropped)
    slots.add(jobs_for(free, 1))
    assert [job.channel for job in slots.take(NOW)] == [free]


def test_endpoints_that_never_took_anything_get_an_eighth_of_the_slots_for_each_owner() -> None:
    slots = Slots(32)
    for owner_id in (1, 2):
        for _ in range(20):
            slots.add(jobs_for(channel_of(owner_id), 1))
    taken = slots.take(NOW)
    assert sorted(job.channel.owner_id for job in taken) == [1] * 4 + [2] * 4
    slots.ended(taken[0], NOW, 0.1, success=False)
    assert len(slots.take(NOW)) == 1


def test_changed_endpoint_has_to_prove_itself_again() -> None:
    slots = Slots(10)
    channel = channel_of(1)
    slots.add(jobs_for(channel, 1))
    (first,) = slots.take(NOW)
    slots.ended(first, NOW, 0.1, success=True)
    assert channel.is_proven
    channel.learn(channel.endpoint, channel.secrets, channel.destination)
    assert not channel.is_proven
