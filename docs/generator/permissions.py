"""`reference/permissions.md`: permissions, roles and what asks for them."""

from __future__ import annotations

from docs.generator import markdown
from heliograph.http.app import ROUTES
from heliograph.tenancy.model import PERMISSIONS, ROLES

_INTRODUCTION = """\
# Permissions and roles

A permission is written `<action> <entity>.tenant`: `read event.tenant`. A **grant** is a role or one permission, held
by an account or a key *on a tenant*; it reaches that tenant and all below it. What a key may do is what both the key
and its account hold. Nobody can grant, or put into a key, more than they hold themselves.

Without any permission in a tenant, the tenant does not exist for you (404). With some, but not the one that is needed,
the answer is 403 and names the missing one.

How to use this: [Keys with as few rights as possible](../how-to/permissions.md)."""

_ENTITIES_NOTE = """\
Today's routes ask for the permissions in the table below. The others belong to features that are still to come; they
are part of the roles already, so that no role has to change its meaning then. The routes of `/v1/jobs` ask for what the
kind of the job needs: for an import of recipes, `read recipe.tenant` to watch it and `create recipe.tenant` to cancel
it; for a large report of access codes, `report access_code.tenant`. `pin=true` of an access code asks for
`read_pin access_code.tenant` besides, and whoever adds an endpoint or changes its `url` needs `read event.tenant`
besides: events go where it says. A device's own token reports for that device, and does nothing else."""


def page() -> str:
    """Return the whole page."""
    asked = {route.permission for route in ROUTES.all if route.permission}
    return markdown.document(
        "`heliograph/tenancy/model.py` and the route table",
        _INTRODUCTION,
        markdown.heading(2, "Roles"),
        markdown.table(
            ("Entity", "Actions", *map(markdown.code, ROLES)), [_entity_row(entity) for entity in _entities()]
        ),
        _ENTITIES_NOTE,
        markdown.heading(2, "Permissions that routes ask for"),
        markdown.table(("Permission", "Roles that hold it", "Asked for by"), map(_row, _ordered(asked))),
    )


def _ordered(asked: set[str]) -> list[str]:
    return [permission for permission in PERMISSIONS if permission in asked]


def _entities() -> list[str]:
    return list(dict.fromkeys(permission.split()[1].removesuffix(".tenant") for permission in PERMISSIONS))


def _actions(entity: str, permissions: frozenset[str] | None = None) -> list[str]:
    known = [permission for permission in PERMISSIONS if permission.endswith(f" {entity}.tenant")]
    return [permission.split()[0] for permission in known if permissions is None or permission in permissions]


def _entity_row(entity: str) -> tuple[str, ...]:
    held = [_actions(entity, permissions) for permissions in ROLES.values()]
    return (markdown.code(entity), ", ".join(_actions(entity)), *(_cell(actions, _actions(entity)) for actions in held))


def _cell(actions: list[str], everything: list[str]) -> str:
    if actions == everything:
        return "all"
    return ", ".join(actions) or markdown.NOTHING


def _holders(permission: str) -> str:
    return ", ".join(role for role, permissions in ROLES.items() if permission in permissions)


def _row(permission: str) -> tuple[str, ...]:
    routes = [f"{route.method} {route.path}" for route in ROUTES.all if route.permission == permission]
    return (markdown.code(permission), _holders(permission), markdown.codes(routes))
