"""The Python peer for webhooks, measured beside us: django-outbound-webhooks, as its project describes its use.

Run as a process of its own: `python -m bench.outbound FOLDER publish PORT EVENTS` makes a database with one endpoint
and so many events that are owed to it; `python -m bench.outbound FOLDER relay` delivers them until it is ended.
"""

from __future__ import annotations

import base64
import io
import sys
from dataclasses import dataclass
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command

from bench import bodies

EVENT = "bench.DeviceReported"
DATABASE = "outbound.db"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@dataclass(frozen=True)
class DeviceReported:
    """The one event; its body is as large as ours."""

    body: str


def configure(folder: Path) -> None:
    """Set Django up on a database in the folder, as durable as ours."""
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(folder / DATABASE),
                "OPTIONS": {
                    "init_command": "pragma journal_mode=wal; pragma synchronous=full;",
                    "transaction_mode": "IMMEDIATE",
                    "timeout": 30,
                },
            }
        },
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django_domain_events",
            "django_outbound_webhooks",
        ],
        DJANGO_OUTBOUND_WEBHOOKS={"ALLOW_PRIVATE_ADDRESSES": True},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        SECRET_KEY="bench",
        USE_TZ=True,
    )
    django.setup()
    from django_domain_events import event

    event(name=EVENT)(DeviceReported)


def publish(port: int, count: int) -> None:
    """Make the endpoint, then fire events, each in a transaction of its own."""
    from django.db import transaction
    from django_domain_events import fire
    from django_outbound_webhooks import register_endpoint

    call_command("migrate", verbosity=0)
    url = f"http://127.0.0.1:{port}/good/0"
    register_endpoint(name="bench", url=url, secret=SECRET, event_names=[EVENT])
    for body in bodies.events(count):
        with transaction.atomic():
            fire(DeviceReported(body.decode()))


def main() -> None:
    """Do what the command line says."""
    configure(Path(sys.argv[1]))
    if sys.argv[2] == "relay":
        # The relay that goes on by itself refuses SQLite; one pass after the other is what its documentation names.
        while True:
            call_command("deliver_events", once=True, stdout=io.StringIO())
    else:
        publish(int(sys.argv[3]), int(sys.argv[4]))


if __name__ == "__main__":
    main()
