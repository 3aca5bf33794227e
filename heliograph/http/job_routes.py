"""The routes by which longer work is watched and cancelled; which permission is needed depends on the kind of job."""

from __future__ import annotations

from heliograph.http import jobs
from heliograph.http.lists import TenantQuery
from heliograph.http.routes import Example, Route

JOBS = (
    Route(
        method="GET", path="/v1/jobs", handler=jobs.list_jobs, permission="", tag="jobs", summary="List jobs",
        description=(
            "Lists the jobs of those kinds that the key may read, the oldest first. Without any such permission the"
            " answer is 403."
        ),
        query=jobs.JobsQuery, answers={200: jobs.JobList}, example=Example(query="state=running&state=queued"),
    ),
    Route(
        method="GET", path="/v1/jobs/{uid}", handler=jobs.show_job, permission="", tag="jobs", summary="Get a job",
        description="Needs what its kind needs for reading: an import of recipes, `read recipe.tenant`.",
        query=TenantQuery, answers={200: jobs.JobBody},
    ),
    Route(
        method="POST", path="/v1/jobs/{uid}/cancel", handler=jobs.cancel_job, permission="", tag="jobs",
        summary="Cancel a job",
        description=(
            "A job that waits ends at once, one that runs before its next chunk; what it has done stays. Cancelling"
            " it again changes nothing; one that has succeeded or failed is answered 409. Needs what its kind needs"
            " to be begun: an import of recipes, `create recipe.tenant`."
        ),
        query=TenantQuery, answers={200: jobs.JobBody},
    ),
    Route(
        method="GET", path="/v1/jobs/{uid}/rows", handler=jobs.list_job_rows, permission="", tag="jobs",
        summary="List what became of a job's rows",
        description=(
            "With `format=csv` each page is a table: the columns that were sent, then `heliograph_row`,"
            " `heliograph_outcome`, `heliograph_reason`, `heliograph_message` and `heliograph_text`, the beginning of a"
            " row that cannot be read; the header `link` leads to the next page. A cell that a spreadsheet could take"
            " for a formula has a single quote before it, which an import takes away again."
        ),
        query=jobs.JobRowsQuery, answers={200: jobs.JobRowList}, answer_types=("application/json", "text/csv"),
    ),
)  # fmt: skip
