"""Rows 9 to 11: webhooks, how many, how soon, and beside receivers that misbehave."""

from __future__ import annotations

import time
from functools import partial

from bench import delivering, importing, servers
from bench.figures import BATCH, Bench, Measured, show, show_paced
from bench.paced import Paced

ENDPOINTS = 200
FAN_OUT = 5
"""Endpoints that want an event, where there are 200."""

PEER_EVENTS = 2_000
PUBLISHED_PER_SECOND = 1_000


def deliveries(bench: Bench) -> None:
    """Row 9: webhooks settled a second out of a backlog, while single events come in, and those of the peer."""
    rows, alone = [], {}
    for endpoints, each in ((1, 1), (ENDPOINTS, FAN_OUT)):
        folder = bench.sub_folder(f"deliveries-{endpoints}")
        with delivering.receiving() as receiver:
            with servers.heliograph(folder, settings=delivering.ONLY_STORE) as server:
                delivering.add_endpoints(server, receiver, endpoints)
                bench.load(server, "publishing the backlog", batch=BATCH, total=bench.backlog // each)
            with (
                servers.heliograph(folder, settings=delivering.ALLOW_LOOPBACK) as server,
                importing.events_meanwhile(server) as meanwhile,
            ):
                before, began = server.cpu_seconds(), time.perf_counter()
                rate = delivering.settled_per_second(partial(delivering.settled, folder), bench.backlog, bench.seconds)
                used = (server.cpu_seconds() - before) / (time.perf_counter() - began)
        name = f"Heliograph, {endpoints} endpoint{'s' * (endpoints > 1)}"
        rows.append(Measured(name, rate, per_cpu_second=rate / used))
        alone[f"single events meanwhile, {name[12:]}"] = meanwhile.result
    folder = bench.sub_folder("outbound")
    with delivering.receiving() as receiver, delivering.peer_relay(folder, receiver, PEER_EVENTS):
        rate = delivering.settled_per_second(partial(delivering.settled_by_peer, folder), PEER_EVENTS, bench.seconds)
        rows.append(Measured("django-outbound-webhooks, 1 endpoint, nothing meanwhile", rate))
    title = f"9. Webhooks delivered and settled, SQLite, with {importing.EVENTS_PER_SECOND} events/s meanwhile"
    show(bench.console, title, rows, base=rows[-1])
    show_paced(bench.console, "   and the events meanwhile", alone)


def latency(bench: Bench) -> None:
    """Row 10: from publishing to receiving."""
    with (
        delivering.receiving() as receiver,
        servers.heliograph(bench.sub_folder("latency"), settings=delivering.ALLOW_LOOPBACK) as server,
    ):
        uids = delivering.add_endpoints(server, receiver, 1)
        with importing.events_meanwhile(server, PUBLISHED_PER_SECOND, stamped=True) as pacer:
            time.sleep(bench.seconds)
        delivering.wait_until_delivered(server, uids)
    heard = receiver.heard
    title = f"10. From publishing to receiving, SQLite, {PUBLISHED_PER_SECOND:,} events/s to one endpoint"
    received = Paced(heard.stamped, 0, heard.p50, heard.p99, heard.worst)
    show_paced(bench.console, title, {"published and answered": pacer.result, "received": received})


def isolation(bench: Bench) -> None:
    """Row 11: what endpoints that misbehave do to the others."""
    results = {}
    for name, good in ((f"{ENDPOINTS} that answer", ENDPOINTS), ("six of them misbehave", ENDPOINTS - 6)):
        with (
            delivering.receiving() as receiver,
            delivering.receiving() as bad_receiver,
            servers.heliograph(bench.sub_folder(f"isolation-{good}"), settings=delivering.ALLOW_LOOPBACK) as server,
        ):
            uids = delivering.add_endpoints(server, receiver, good)
            if good < ENDPOINTS:
                delivering.add_bad_endpoints(server, bad_receiver)
            with importing.events_meanwhile(server, stamped=True):
                time.sleep(max(45.0, 2 * bench.seconds))  # so that time-outs are over while it lasts
            delivering.wait_until_delivered(server, uids)
        heard = receiver.heard
        results[name] = Paced(heard.stamped, 0, heard.p50, heard.p99, heard.worst)
    rate = importing.EVENTS_PER_SECOND
    title = f"11. From publishing to receiving, SQLite, {rate} events/s to {FAN_OUT} of {ENDPOINTS} endpoints each"
    show_paced(bench.console, title, results)
