"""The rows of the route table for provisioning: recipes, attempts in vain, and the registration of devices."""

from __future__ import annotations

from heliograph.http import imports, recipes, registration
from heliograph.http.jobs import JobBody
from heliograph.http.lists import TenantQuery
from heliograph.http.routes import Example, Route

_TAG = "provisioning recipes"
_RECIPE = {
    "brand": "Samsung", "model": "QM55C", "serialNumber": "SN-20417", "macAddress": "00-1b-44-11-3a-b7",
    "deviceName": "Lobby, left of the lifts",
}  # fmt: skip

RECIPES = (
    Route(
        method="POST", path="/v1/devices/register", handler=registration.register_device,
        permission="register device.tenant", tag="devices", summary="Register a device",
        description=(
            "A device says who it is. Recipes are looked for in every organization where the key holds the permission,"
            " or only in and below the tenant that `tenantUid` names. A device that is enrolled already is known again:"
            " its recipe's `onRepeat` says what then happens. The token is in the answer that enrols the device, and"
            " after that only for the claim code or for the token that it replaces."
        ),
        query=TenantQuery, body=registration.NewRegistration,
        answers={200: registration.RegistrationBody, 201: registration.RegistrationBody},
        example=Example(body={"brand": "Samsung", "model": "QM55C", "serialNumber": "SN-1"}),
    ),
    Route(
        method="GET", path="/v1/provisioning-recipes", handler=recipes.list_recipes, permission=recipes.READ, tag=_TAG,
        summary="List recipes", query=recipes.RecipesQuery, answers={200: recipes.RecipeList},
        example=Example(query="status=Pending&serialNumberPrefix=SN-"),
    ),
    Route(
        method="POST", path="/v1/provisioning-recipes", handler=recipes.create_recipe, permission=recipes.CREATE,
        tag=_TAG, summary="Register a device in advance",
        description="`confirmedOwnership` also needs the permission `confirm recipe.tenant`.",
        query=TenantQuery, body=recipes.NewRecipe, answers={201: recipes.RecipeBody}, idempotent_by_key=True,
        example=Example(body=_RECIPE, status=201),
    ),
    Route(
        method="POST", path="/v1/provisioning-recipes/import", handler=imports.import_recipes,
        permission=recipes.CREATE, tag=_TAG, summary="Import recipes from a file",
        description=(
            "Takes a CSV file (any delimiter, header in any order) or JSONL, and answers with the job that imports it:"
            " `GET /v1/jobs/{uid}` tells how far it is, `GET /v1/jobs/{uid}/rows` what became of each row. Importing a"
            " file again changes nothing more."
        ),
        query=imports.ImportQuery, body=str, content_types=tuple(imports.FORMATS), answers={202: JobBody},
        idempotent_by_key=True, size="import_bytes", streams=True,
        example=Example(
            body="brand,serial number,device name\r\nSamsung,SN-20417,Lobby\r\n", content_type="text/csv", status=202,
            query="dryRun=true",
        ),
    ),
    Route(
        method="GET", path="/v1/provisioning-recipes/{uid}", handler=recipes.show_recipe, permission=recipes.READ,
        tag=_TAG, summary="Get a recipe", query=TenantQuery, answers={200: recipes.RecipeBody},
    ),
    Route(
        method="PATCH", path="/v1/provisioning-recipes/{uid}", handler=recipes.update_recipe,
        permission=recipes.UPDATE, tag=_TAG, summary="Change a recipe",
        description=(
            "A change that repairs a Failed or Invalid recipe makes it Pending, and applies it at once when its device"
            " is known. `confirmedOwnership` also needs the permission `confirm recipe.tenant`."
        ),
        query=TenantQuery, body=recipes.RecipeChanges, answers={200: recipes.RecipeBody}, headers=("If-Match",),
        example=Example(body={"deviceName": "Lobby"}),
    ),
    Route(
        method="DELETE", path="/v1/provisioning-recipes/{uid}", handler=recipes.delete_recipe,
        permission=recipes.DELETE, tag=_TAG, summary="Delete a recipe",
        description="A device that it enrolled stays enrolled.", query=TenantQuery, answers={204: None},
        headers=("If-Match",),
    ),
    Route(
        method="POST", path="/v1/provisioning-recipes/{uid}/retry", handler=recipes.retry_recipe,
        permission=recipes.UPDATE, tag=_TAG, summary="Retry a Failed or Invalid recipe",
        description="409 says what is still wrong with it.", query=TenantQuery, answers={200: recipes.RecipeBody},
        headers=("If-Match",),
    ),
    Route(
        method="POST", path="/v1/provisioning-recipes/{uid}/claim-code", handler=recipes.create_claim_code,
        permission=recipes.CONFIRM, tag=_TAG, summary="Make a new claim code",
        description="The code is in this answer and never again; any other code of the recipe ends.",
        query=TenantQuery, body=recipes.ClaimCodeWish, answers={201: recipes.ClaimCodeBody}, headers=("If-Match",),
        example=Example(body={}, status=201),
    ),
    Route(
        method="GET", path="/v1/provisioning-recipes/{uid}/attempts", handler=recipes.list_recipe_attempts,
        permission=recipes.READ, tag=_TAG, summary="List attempts in vain with one recipe",
        query=recipes.AttemptsQuery, answers={200: recipes.AttemptList},
    ),
    Route(
        method="GET", path="/v1/registration-attempts", handler=recipes.list_attempts, permission=recipes.READ,
        tag=_TAG, summary="List all attempts in vain",
        description="Attempts with no recipe are listed in the tenant that was named, or in the key's own.",
        query=recipes.AttemptsQuery, answers={200: recipes.AttemptList},
        example=Example(query="reason=no_recipe"),
    ),
)  # fmt: skip
