"""Errors in the words of the Hub; the client distinguishes them by X-Error-Code."""

from starlette.responses import JSONResponse


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
