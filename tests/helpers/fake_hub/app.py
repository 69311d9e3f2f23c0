"""The HTTP interface of the fake Hub: parses requests and calls their handlers."""

import json
import re
from urllib.parse import parse_qs, unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from fake_hub import read, write
from fake_hub.replies import failure, gated, no_repository, no_revision

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE"]
LFS_BATCH = ["info", "lfs", "objects", "batch"]


def make_app(hub):
    """The ASGI app in front of hub.store."""

    async def answer(request: Request):
        path = request.scope["raw_path"].decode().split("?")[0]
        hub.log(request, path)
        for method, pattern, reply in hub.failing:
            if method == request.method and re.search(pattern, path):
                return reply()
        parts = [unquote(part) for part in path.strip("/").split("/")]
        token = request.headers.get("authorization", "").removeprefix("Bearer ") or None
        return await _route(hub, request, parts, token)

    return Starlette(routes=[Route("/{path:path}", answer, methods=METHODS)])


async def _route(hub, request, parts, token):
    match [request.method, *parts]:
        case ["GET" | "HEAD", "api", "models"]:
            return read.search(hub, request, token)
        case ["GET", "api", "whoami-v2"]:
            if token is None:
                return failure(401, "Invalid username or password.")
            return JSONResponse({"type": "user", "name": token.removeprefix("hf_"), "orgs": []})
        case ["POST", "api", "validate-yaml"]:
            return await write.validate_yaml(request)
        case ["DELETE", "api", "repos", "delete"]:
            return await write.delete(hub, request, token)
        case ["POST", "api", "repos", "create"]:
            return await write.create(hub, request, token)
        case ["PUT", "lfs", oid]:
            return await write.receive(hub, request, oid)
        case ["POST", "lfs", "verify"]:
            return JSONResponse({})
        case ["POST", owner, name, *rest] if name.endswith(".git") and rest == LFS_BATCH:
            repo = f"{owner}/{name.removesuffix('.git')}"
            return await _open(hub, token, repo, write.batch, request, writing=True)
        case ["GET" | "HEAD", owner, name, "resolve", revision, *path] if path:
            return await _open(hub, token, f"{owner}/{name}", _resolve, request, revision, path)
        case [method, "api", "models", owner, name, *rest]:
            answer = _read if method in ("GET", "HEAD") else _write
            writing = method in ("POST", "DELETE") and rest[:1] != ["paths-info"]
            writing = writing or rest[:1] == ["xet-write-token"]
            return await _open(
                hub, token, f"{owner}/{name}", answer, request, rest, writing=writing
            )
    return failure(404, "Not Found")


async def _open(hub, token, name, answer, request, *args, writing=False):
    """Check that the token may read the repository, and write to it if the request writes."""
    repository = hub.store.repositories.get(name)
    member = hub.store.may(token, name)
    if repository is None or (repository.private and not member):
        return no_repository()
    if writing and not member and not (token and await _proposes(request)):
        return failure(403, f"You have read access but not write access to {name}")
    if answer is _resolve and repository.gated and not member:
        return gated(token)
    return await answer(hub, request, name, repository, *args)


async def _proposes(request):
    """Whether it is part of a pull request, which every reader may open."""
    if request.query_params.get("create_pr"):
        return True
    # Large files of a pull request are sent for no branch.
    return request.url.path.endswith("/objects/batch") and "ref" not in await request.json()


async def _resolve(hub, request, name, repository, revision, path):
    return read.resolve(hub, request, name, repository, revision, "/".join(path))


async def _read(hub, request, name, repository, rest):
    if rest and rest[0] in ("xet-read-token", "xet-write-token") and hub.xet:
        return hub.xet.token(rest[0].split("-")[1])
    return read.model(hub, request, name, repository, rest)


async def _write(hub, request, name, repository, rest):
    match [request.method, *rest]:
        case ["POST", "paths-info", revision]:
            commit = repository.at(revision)
            body = (await request.body()).decode()
            json_sent = "json" in request.headers.get("content-type", "")
            wanted = json.loads(body)["paths"] if json_sent else parse_qs(body)["paths"]
            return read.paths_info(hub, commit, wanted) if commit else no_revision(revision)
        case ["POST", "preupload", revision]:
            return await write.preupload(hub, request, repository, revision)
        case ["POST", "commit", revision]:
            return await write.commit(hub, request, name, repository, revision)
        case ["POST", "branch", branch]:
            return await write.branch(hub, request, repository, branch)
        case ["DELETE", "branch", branch]:
            del repository.refs[branch]
            return JSONResponse({})
        case ["POST", "tag", revision]:
            return await write.tag(request, repository, revision)
    return failure(404, "Not Found")
