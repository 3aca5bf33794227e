"""What the fields of the catalogued payloads mean; found by the end of their dotted names, the longest one first."""

from __future__ import annotations

from collections.abc import Mapping

MEANINGS: Mapping[str, str] = {
    # everywhere
    "uid": "The entity itself.",
    "name": "The name that people see.",
    "changes": "What changed, and nothing else.",
    "from": "The value before; left out when there was none.",
    "to": "The value since; left out when there is none.",
    # the platform about itself
    "Platform.kind": "What kind of failure it is.",
    "detail": "What failed, in words.",
    "requestId": "The request during which it failed, as in its `x-request-id`.",
    "suppressed": "Failures of the same kind since the last one on record, which were not recorded.",
    "behindMicroseconds": "How far the clock is behind the newest event.",
    "aheadMicroseconds": "How far the clock is ahead of what the elapsed time explains.",
    # tenants, accounts, keys, grants
    "Tenant.kind": "Whether it is a company or an organization.",
    "shortName": "The short name; it never changes.",
    "parentUid": "The company it stands below; left out for a root company.",
    "changes.name": "The name before and since.",
    "changes.rejectReservedCodes": "Whether callers are refused codes below 10000, before and since.",
    "accountId": "The account's number.",
    "grants": "The rights it begins with.",
    "tenantUid": "The tenant from which the right reaches downwards.",
    "grant": "A role, or one permission.",
    "revokedKeys": "How many keys ended with the account.",
    "accountUid": "The account that the key acts for.",
    "expiresAt": "When the key ends by itself; left out when it does not.",
    "holder": "Whether an account or a key holds the right.",
    "holderUid": "That account or key.",
    # event types
    "EventType.type": "The name of the type.",
    "schema": "The JSON Schema that its payloads must obey.",
    "defaultCode": "The code of its events that name none.",
    "defaultCriticality": "The criticality of its events that name none.",
    # longer work
    "Job.kind": "What kind of work it is.",
    "Job.state": "How it ended.",
    "done": "How much was done, in the unit of its kind: bytes of the file for an import.",
    "total": "How much there is to do, in the same unit; left out when that is not known.",
    "Job.error": "Why it failed, in words; left out when it did not.",
    # tags, locations, policies
    "Tag.parentUid": "The tag it stands below; left out for a topmost one.",
    "changes.parentUid": "The tag above, before and since.",
    "address": "The address, of one or more lines; left out when there is none.",
    "changes.address": "The address before and since.",
    "metadata": "What else is noted, as any JSON object.",
    "changes.metadata": "The metadata before and since.",
    "items": "What the policy sets, as any JSON; the platform does not read it.",
    "changes.items": "The items before and since.",
    # provisioning recipes
    "owner": "Whose event it is.",
    "ownershipType": "Always `organization`.",
    "owner.organizationUid": "The organization whose log holds the event.",
    "parentCompanyUid": "That organization's company.",
    "type": "The event type again, inside the payload.",
    "originator": "The account that acted; left out when the platform or a device did.",
    "originator.accountId": "Its number.",
    "originator.organizationUid": "The organization in whose name it acted.",
    "originator.policyUid": "The policy under which it acted.",
    "organizationUid": "The organization that owns the recipe.",
    "deviceIdentityHash": "The device's public uid.",
    "status": "The recipe's status.",
    "confirmedOwnership": "Whether somebody confirmed that the device belongs to the organization.",
    "serialNumber": "Serial number of the device.",
    "macAddress": "MAC address of the device.",
    "model": "Model of the device.",
    "brand": "Brand of the device.",
    "tagUids": "Tags that the device gets.",
    "deviceName": "Name that the device gets.",
    "policyUid": "Policy that the device gets.",
    "locationUid": "Location that the device gets.",
    "unsuccessfulRegisterAttemptStatus": "The latest attempt to register that did not succeed.",
    "warningMessage": "Why it did not.",
    "errorMessage": "Why the recipe is Failed or Invalid.",
    # connected accounts
    "connect_webview_id": "The page on which its owner let it be connected; the platform has none and leaves it out.",
    "customer_key": "The customer whose it is; the platform knows none and leaves it out.",
    "customMetadata": "What callers note on it: texts and truth values.",
    "changes.customMetadata": "The custom metadata before and since.",
    "changes.errors": "All errors before and since.",
    "changes.warnings": "All warnings before and since.",
    "ConnectedAccount.from": "What there was before.",
    "ConnectedAccount.to": "What there is since.",
    "errorCode": "The error, for programs.",
    "warningCode": "The warning, for programs.",
    "createdAt": "Since when.",
    # devices
    "recipeUid": "The recipe that enrolled it; left out when somebody did by hand.",
    "reason": "Why it left; `moved` is to another organization of the company.",
    "verificationHash": "The stored hash of the claim code; the code itself cannot be found from it.",
    "changes.tagUids": "The tags before and since.",
    "changes.policyUid": "The policy before and since.",
    "changes.locationUid": "The location before and since.",
    "connectedAccountUid": "The connected account that it belongs to; left out when it belongs to none.",
    "changes.connectedAccountUid": "The connected account before and since.",
    # presence of devices
    "deviceUid": "The device's public uid, the same as `deviceIdentityHash`.",
    "connectionUid": "The connection, from when the device came online until it goes offline.",
    "serverInstanceUid": "The process of the platform that took the connection up.",
    "Device.Telemetry.DeviceTelemetryRecordUpdated.name": "What was measured.",
    "data": "What the device measured, as it sent it.",
    "percent": "The charge of the battery.",
    "charging": "Whether it is being charged; left out when the device did not say.",
    "errors": "The errors of the device; left out when none came or went.",
    "warnings": "The warnings of the device; left out when none came or went.",
    "added": "The codes of those that came.",
    "removed": "The codes of those that went.",
    # access codes
    "access_code_id": "The access code.",
    "connected_account_custom_metadata": "What is noted on the connected account.",
    "connected_account_id": "The vendor account through which the lock is reached.",
    "created_at": "When the event was put on record.",
    "device_custom_metadata": "What is noted on the lock.",
    "device_id": "The lock.",
    "event_id": "The event.",
    "event_type": "The event type.",
    "occurred_at": "When it happened.",
    "workspace_id": "The organization whose log holds the event.",
    "access_code_errors": "What is wrong with the code.",
    "access_code_warnings": "What deserves attention on the code.",
    "connected_account_errors": "What is wrong with the connected account.",
    "connected_account_warnings": "What deserves attention on the connected account.",
    "device_errors": "What is wrong with the lock.",
    "device_warnings": "What deserves attention on the lock.",
    "access_code.from": "What there was before.",
    "access_code.to": "What there is since.",
    "access_code.code": "The PIN is withheld: always null.",
    "change_reason": "Why it changed, in words; left out when nobody said.",
    "changed_properties": "What changed; left out when that is not known.",
    "changed_properties[].property": "The name of what changed.",
    "changed_properties[].from": "The value before; null when there was none, and for the PIN.",
    "changed_properties[].to": "The value since; null when there is none, and for the PIN.",
    "description": "What changed, in words.",
    "from.name": "The name; null when there was none.",
    "to.name": "The name; null when there is none.",
    "from.code": "The PIN is withheld: always null.",
    "to.code": "The PIN is withheld: always null.",
    "starts_at": "From when on it opens the lock; null when from the first moment.",
    "ends_at": "Until when it opens the lock; null when there is no end.",
    "[].created_at": "Since when.",
    "error_code": "The error, for programs.",
    "warning_code": "The warning, for programs.",
    "message": "The same for people.",
    # endpoints
    "host": "Where its URL leads; path and query are not told, for they often are secrets.",
    "eventTypes": "Which types of events it asks for.",
    "format": "What the body of its deliveries is.",
    "changed": "The names of the fields that changed.",
    "failingSince": "The first failure after the last success; left out when it does not fail.",
    "lastError": "How the last attempt ended; left out when that is not known.",
    "Endpoint.Disabled.reason": "`caller`: somebody did it; `gone`: it answered 410; `failing`: nothing reached it.",
    "Endpoint.Test.message": "Words for whoever looks at it.",
    "Endpoint.kind": "Which key: the symmetric one, or the Ed25519 key.",
    "deliveryId": "The delivery.",
    "endpointUid": "The endpoint.",
    "Delivery.tenantUid": "The tenant whose event it is.",
    "eventId": "The event that was to be delivered.",
    "eventType": "Its type; left out when it has none.",
    "Delivery.attempts": "How many attempts there were.",
    "lastStatus": "The status of the last answer; left out when there was none.",
    "overlapEndsAt": "Until when the key that was replaced goes on to sign.",
}


def meaning_of(event_type: str, name: str) -> str:
    """Return what the field `name` (dotted) of an event type's payload means.

    Raises:
        LookupError: when nobody has written it down.
    """
    entity = event_type.split(".")[0]
    candidates = (f"{event_type}.{name}", f"{entity}.{name}", *_endings(name))
    for candidate in candidates:
        if candidate in MEANINGS:
            return MEANINGS[candidate]
    raise LookupError(f"docs/generator/meanings.py does not say what {name!r} of {event_type} means.")


def _endings(name: str) -> list[str]:
    steps = name.split(".")
    endings = [".".join(steps[n:]) for n in range(len(steps))]
    if len(steps) > 1 and steps[-2].endswith("[]"):
        endings.insert(0, f"[].{steps[-1]}")
    return endings
