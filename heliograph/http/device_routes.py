"""The routes of devices; registering and reporting, which devices do themselves, have tables of their own."""

from __future__ import annotations

from heliograph.http import devices
from heliograph.http.lists import TenantQuery
from heliograph.http.routes import Example, Route

DEVICES = (
    Route(
        method="GET", path="/v1/devices", handler=devices.list_devices, permission=devices.READ, tag="devices",
        summary="List devices",
        description=(
            "Lists the devices that pass every filter, the earliest seen first, deprovisioned ones included. A filter"
            " given several times is passed by any of its values; `nestedTags=true` includes the tags below those"
            " named. Prefixes are compared whatever their case, and a MAC address's in any usual notation."
        ),
        query=devices.DevicesQuery, answers={200: devices.DeviceList},
        example=Example(query="state=enrolled&namePrefix=Lobby&limit=10"),
    ),
    Route(
        method="POST", path="/v1/devices", handler=devices.create_device, permission=devices.CREATE, tag="devices",
        summary="Enrol a device by hand",
        description=(
            "At least one of `serialNumber` and `macAddress` is needed. The device's token is in this answer and"
            " never again. 409 when one of its identifiers is enrolled already."
        ),
        query=TenantQuery, body=devices.NewDevice, answers={201: devices.NewDeviceBody}, idempotent_by_key=True,
        example=Example(
            body={
                "brand": "Samsung", "model": "QM55C", "serialNumber": "SN-20417", "macAddress": "00-1b-44-11-3a-b7",
                "name": "Lobby, left of the lifts", "customMetadata": {"floor": "0"},
            },
            status=201,
        ),
    ),
    Route(
        method="GET", path="/v1/devices/{uid}", handler=devices.show_device, permission=devices.READ, tag="devices",
        summary="Get a device", query=TenantQuery, answers={200: devices.DeviceBody},
    ),
    Route(
        method="PATCH", path="/v1/devices/{uid}", handler=devices.update_device, permission=devices.UPDATE,
        tag="devices", summary="Change a device",
        description=(
            "To take away or replace its connected account also needs the permission `delete access_code.tenant`."
        ),
        query=TenantQuery, body=devices.DevicePatch, answers={200: devices.DeviceBody}, headers=("If-Match",),
        example=Example(body={"name": "Lobby, right"}),
    ),
    Route(
        method="DELETE", path="/v1/devices/{uid}", handler=devices.delete_device, permission=devices.DELETE,
        tag="devices", summary="Remove a device", description="An enrolled device is deprovisioned by it.",
        query=TenantQuery, answers={204: None}, headers=("If-Match",),
    ),
    Route(
        method="POST", path="/v1/devices/{uid}/deprovision", handler=devices.deprovision_device,
        permission=devices.UPDATE, tag="devices", summary="Deprovision a device",
        description=(
            "Returns the device to nobody: its connection and token end, its name, tags, policy, location and"
            " connected account are removed, and whoever has a recipe for it may enrol it. Again, it changes nothing."
        ),
        query=TenantQuery, answers={200: devices.DeviceBody}, headers=("If-Match",), example=Example(),
    ),
    Route(
        method="POST", path="/v1/devices/{uid}/move", handler=devices.move_device, permission=devices.UPDATE,
        tag="devices", summary="Move a device to another organization",
        description=(
            "The other organization belongs to the same company, and the caller needs `create device.tenant` there."
            " The device keeps uid, name and custom metadata; tags, policy, location and connected account stay behind."
            " Its new token is in this answer and never again."
        ),
        query=TenantQuery, body=devices.DeviceMove, answers={200: devices.NewDeviceBody}, headers=("If-Match",),
    ),
)  # fmt: skip
