"""Pages that are kept: for one question at one head of a log, and never more than the memory they may take."""

from __future__ import annotations

import threading
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from heliograph.eventlog.bodies import Bodies, BodyCache
from heliograph.eventlog.model import Span

KIB = 1024
QUESTIONS = [bytes([number]) * 8 for number in range(12)]


def page(length: int, count: int = 1) -> Bodies:
    return Bodies((b"x" * length,) * count, Span(count, 9))


def test_page_is_found_for_its_question_and_head_only() -> None:
    cache = BodyCache(64 * KIB)
    kept = page(10)
    cache.keep(b"a", 7, kept)
    assert cache.find(b"a", 7) is kept
    assert [cache.find(b"a", 6), cache.find(b"a", 8), cache.find(b"b", 7)] == [None, None, None]


def test_newer_page_takes_the_place_of_the_older_one() -> None:
    cache = BodyCache(64 * KIB)
    cache.keep(b"a", 7, page(9_000))
    newer = page(10)
    cache.keep(b"a", 8, newer)
    assert (cache.find(b"a", 7), cache.find(b"a", 8)) == (None, newer)
    assert cache.size < 2_000


def test_page_that_nobody_asked_for_the_longest_is_dropped_first() -> None:
    cache = BodyCache(40 * KIB)
    for question in QUESTIONS[:4]:
        cache.keep(question, 1, page(9_000))
    assert cache.find(QUESTIONS[0], 1) is not None
    cache.keep(QUESTIONS[4], 1, page(9_000))
    assert [cache.find(question, 1) is not None for question in QUESTIONS[:5]] == [True, False, True, True, True]


def test_page_that_would_push_out_most_others_is_not_kept_nor_what_it_replaces() -> None:
    cache = BodyCache(40 * KIB)
    cache.keep(b"a", 1, page(10))
    cache.keep(b"a", 1, page(11 * KIB))
    assert (cache.find(b"a", 1), cache.size) == (None, 0)


@given(
    st.lists(
        st.tuples(st.sampled_from(QUESTIONS), st.integers(0, 2), st.integers(0, 5_000), st.integers(0, 4)), max_size=60
    )
)
def test_kept_pages_never_take_more_than_they_may(kept: list[tuple[bytes, int, int, int]]) -> None:
    cache = BodyCache(20 * KIB)
    for question, head, length, count in kept:
        cache.keep(question, head, page(length, count))
        present = [found for asked in QUESTIONS for number in range(3) if (found := cache.find(asked, number))]
        held = sum(len(body) for found in present for body in found.payloads)
        assert held <= cache.size <= 20 * KIB
        assert bool(present) == bool(cache.size)


def test_threads_that_read_at_the_same_time_leave_the_account_right() -> None:
    cache = BodyCache(20 * KIB)

    def read(seed: int) -> None:
        random = Random(seed)
        for _ in range(500):
            question, head = random.choice(QUESTIONS), random.randrange(3)
            if cache.find(question, head) is None:
                cache.keep(question, head, page(random.randrange(4_000)))

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for question in QUESTIONS:
        cache.keep(question, 9, page(20 * KIB))
    assert cache.size == 0
