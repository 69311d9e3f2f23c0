"""The Hub's answers to those who push: repositories, large files and commits."""

import base64
import hashlib
import json

import yaml
from starlette.responses import JSONResponse

from fake_hub.replies import failure, no_revision
from fake_hub.store import LARGE, MAIN, File, Repository

LICENSES = {"apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-nc-sa-4.0", "unknown", "other"}


async def validate_yaml(request):
    """Refuse a card whose front matter the Hub could not read."""
    content = (await request.json())["content"]
    errors = []
    if content.startswith("---\n"):
        try:
            matter = yaml.safe_load(content.split("\n---", 1)[0][4:])
            if not isinstance(matter, dict):
                errors.append({"message": "the metadata is not a mapping"})
            elif matter.get("license", "unknown") not in LICENSES:
                errors.append({"message": f'"license" must be one of {sorted(LICENSES)}'})
        except yaml.YAMLError as error:
            errors.append({"message": f"not YAML: {error}"})
    return JSONResponse({"errors": errors, "warnings": []}, 400 if errors else 200)


async def create(hub, request, token):
    body = await request.json()
    if token is None:
        return failure(401, "Invalid username or password.")
    name = f"{body.get('organization') or token.removeprefix('hf_')}/{body['name']}"
    url = f"{hub.url}/{name}"
    if not hub.store.may(token, name):
        return failure(403, f"You don't have the rights to create a model under {name}")
    if name in hub.store.repositories:
        return JSONResponse({"error": "You already created this model repo", "url": url}, 409)
    private = body.get("visibility") == "private"
    hub.store.repositories[name] = Repository(private)
    return JSONResponse({"url": url, "id": name})


async def delete(hub, request, token):
    body = await request.json()
    name = f"{body.get('organization') or token.removeprefix('hf_')}/{body['name']}"
    if not hub.store.may(token, name):
        return failure(403, f"You don't have the rights to delete {name}")
    del hub.store.repositories[name]
    return JSONResponse({})


async def preupload(hub, request, repository, revision):
    commit = repository.at(revision)
    if commit is None:
        return no_revision(revision)
    files = []
    for asked in (await request.json())["files"]:
        path, there = asked["path"], commit.files.get(asked["path"])
        mode = "lfs" if path.endswith(LARGE) else "regular"
        answer = {"path": path, "uploadMode": mode, "shouldIgnore": False}
        files.append(answer | ({"oid": there.etag} if there else {}))
    return JSONResponse({"files": files, "commitOid": commit.oid})


async def batch(hub, request, _name, _repository):
    objects = []
    for asked in (await request.json())["objects"]:
        answer = {"oid": asked["oid"], "size": asked["size"]}
        if asked["oid"] not in hub.store.large:
            href = f"{hub.url}/lfs/{asked['oid']}"
            verify = {"href": f"{hub.url}/lfs/verify", "header": {}}
            answer["actions"] = {"upload": {"href": href, "header": {}}, "verify": verify}
        objects.append(answer)
    return JSONResponse({"transfer": "basic", "objects": objects})


async def receive(hub, request, oid):
    content = await request.body()
    if hashlib.sha256(content).hexdigest() != oid:
        return failure(400, "the content does not match its id")
    hub.store.large[oid] = content
    return JSONResponse({})


async def commit(hub, request, name, repository, revision):
    """Take one NDJSON commit, whole or not at all."""
    parent = repository.at(revision)
    if parent is None:
        return no_revision(revision)
    files, title = dict(parent.files), ""
    for line in (await request.body()).splitlines():
        operation = json.loads(line)
        value = operation["value"]
        match operation["key"]:
            case "header":
                title = value["summary"]
                if value.get("parentCommit") not in (None, parent.oid):
                    return failure(
                        412, "A commit has happened since. Please refresh and try again."
                    )
            case "file":
                files[value["path"]] = File(base64.b64decode(value["content"]), False)
            case "lfsFile":
                if hub.xet and (content := hub.xet.fetch(value["oid"], value["size"])) is not None:
                    hub.store.large[value["oid"]] = content
                if value["oid"] not in hub.store.large:
                    return failure(400, f"large file {value['path']} has not been uploaded")
                files[value["path"]] = File(hub.store.large[value["oid"]], True)
            case "deletedFile":
                files.pop(value["path"], None)
    target, extra = revision, {}
    if request.query_params.get("create_pr"):
        number = 1 + sum(ref.startswith("refs/pr/") for ref in repository.refs)
        target = f"refs/pr/{number}"
        extra = {"pullRequestUrl": f"{hub.url}/{name}/discussions/{number}"}
    made = repository.commit(files, title, ref=target, parent=parent.oid)
    url = f"{hub.url}/{name}/commit/{made.oid}"
    return JSONResponse({"success": True, "commitOid": made.oid, "commitUrl": url, **extra})


async def branch(hub, request, repository, name):
    if name in repository.refs:
        return failure(409, "Reference already exists")
    body = await request.json() if await request.body() else {}
    repository.refs[name] = repository.at(body.get("startingPoint", MAIN)).oid
    hub.branches.add(name)
    return JSONResponse({})


async def tag(request, repository, revision):
    repository.refs[(await request.json())["tag"]] = repository.at(revision).oid
    return JSONResponse({})
