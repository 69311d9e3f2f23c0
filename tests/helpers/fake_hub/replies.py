"""Errors in the words of the Hub; the client distinguishes them by X-Error-Code."""

from contextlib import contextmanager

from starlette.responses import JSONResponse, Response


def failure(status, message, code="", **headers):
    headers |= {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
    return JSONResponse({"error": message}, status, headers)


def no_repository():
    return failure(401, "Repository not found", "RepoNotFound")


def no_revision(revision):
    return failure(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def no_entry(path, commit):
    return failure(404, "Entry not found", "EntryNotFound", **{"X-Repo-Commit": commit})


def gated(token):
    return failure(403 if token else 401, "Access to this model is restricted", "GatedRepo")


TROUBLES = ("gated", "500", "damaged")


@contextmanager
def in_trouble(hub, repo, file, trouble):
    """For a while, gate a repository, or answer for a file with status 500 or something else."""
    repository = hub.store.repositories[repo]
    if trouble == "gated":
        repository.gated = True
    else:
        reply = (lambda: Response(status_code=500)) if trouble == "500" else (lambda: Response("x"))
        hub.failing.append(("GET", f"^/{repo}/resolve/.*{file}$", reply))
    yield
    repository.gated = False
    hub.failing.clear()
