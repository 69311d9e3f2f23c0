"""The Hub's answers to those who read: repository facts, listings and files."""

import asyncio
import re

import yaml
from starlette.responses import JSONResponse, Response, StreamingResponse

from fake_hub.replies import failure, no_entry, no_revision

CHUNK = 4096


def facts(hub, name, repository, commit, *, blobs):
    return {
        "_id": commit.oid[:24],
        "id": name,
        "modelId": name,
        "sha": commit.oid,
        "private": repository.private,
        "gated": "auto" if repository.gated else False,
        "disabled": False,
        "downloads": hub.downloads.get(name, 0),
        "likes": 0,
        "tags": tags(commit),
        "lastModified": "2026-01-01T00:00:00.000Z",
        "createdAt": "2026-01-01T00:00:00.000Z",
        "siblings": [sibling(hub, *entry, blobs) for entry in sorted(commit.files.items())],
    }


def tags(commit):
    """The tags that the card's front matter gives: its own, the library, the task."""
    card = commit.files["README.md"].content.decode() if "README.md" in commit.files else ""
    matter = yaml.safe_load(card[4:].split("\n---", 1)[0]) if card.startswith("---\n") else None
    if not isinstance(matter, dict):
        return []
    more = (matter.get(key) for key in ("library_name", "pipeline_tag"))
    return [*(matter.get("tags") or []), *filter(None, more)]


def search(hub, request, token):
    """Answer GET /api/models, in pages that a Link header chains."""
    asked = request.query_params
    wanted, text = asked.getlist("filter"), asked.get("search", "").lower()
    found = []
    for name, repository in sorted(hub.store.repositories.items()):
        seen = not repository.private or hub.store.may(token, name)
        if seen and text in name.lower() and name.startswith(asked.get("author", "")):
            entry = facts(hub, name, repository, repository.at("main"), blobs=False)
            if {*wanted} <= {*entry["tags"]}:
                found.append(entry)
    start = int(asked.get("cursor", 0))
    end = start + min(hub.page, int(asked.get("limit", hub.page)))
    headers = {}
    if end < len(found):
        following = request.url.include_query_params(cursor=end)
        headers["Link"] = f'<{following}>; rel="next"'
    return JSONResponse(found[start:end], headers=headers)


def sibling(hub, path, file, blobs):
    if not blobs:
        return {"rfilename": path}
    entry = {"rfilename": path, "size": len(file.content), "blobId": file.oid}
    entry |= {"lfs": {"sha256": file.sha256, **sizes(file)}} if file.lfs else {}
    return entry | hub.listed.get(path, {})


def sizes(file):
    return {"size": len(file.content), "pointerSize": len(file.pointer)}


def tree_entry(hub, path, file):
    """As a tree has it, which calls both digests oid."""
    entry = sibling(hub, path, file, True)
    found = {"type": "file", "path": path, "size": entry["size"], "oid": entry["blobId"]}
    if lfs := entry.get("lfs"):
        found["lfs"] = {("oid" if k == "sha256" else k): v for k, v in lfs.items()}
    return found


def tree(hub, commit, under, recursive):
    prefix = f"{under}/" if under else ""
    found, folders = [], set()
    for path, file in sorted(commit.files.items()):
        rest = path.removeprefix(prefix)
        if not path.startswith(prefix):
            continue
        if "/" in rest and not recursive:
            folders.add(prefix + rest.split("/")[0])
            continue
        found.append(tree_entry(hub, path, file))
    return found + [
        {"type": "directory", "path": p, "size": 0, "oid": "0" * 40} for p in sorted(folders)
    ]


def model(hub, request, name, repository, rest):
    """Answer GET /api/models/{name}/..."""
    asked = request.query_params.get("blobs", "").lower() in ("true", "1")
    blobs = asked and not hub.names_only
    recursive = request.query_params.get("recursive", "").lower() in ("true", "1")
    kind, revision, under = (rest[0] if rest else "revision"), *(rest[1:2] or ["main"]), rest[2:]
    if kind == "refs":
        branches = {n: o for n, o in repository.refs.items() if n in ("main", *hub.branches)}
        tags = {n: o for n, o in repository.refs.items() if n not in branches}
        return JSONResponse(
            {
                "branches": [_ref("refs/heads/", n, o) for n, o in branches.items()],
                "tags": [_ref("refs/tags/", n, o) for n, o in tags.items()],
                "converts": [],
            }
        )
    commit = repository.at(revision)
    if commit is None:
        return no_revision(revision)
    if kind == "revision":
        return JSONResponse(facts(hub, name, repository, commit, blobs=blobs))
    if kind == "tree":
        return JSONResponse(tree(hub, commit, "/".join(under), recursive))
    if kind == "commits":
        line = []
        while commit:
            line.append({"id": commit.oid, "title": commit.title, "message": "", "authors": []})
            commit = repository.commits.get(commit.parent)
        stamp = {"date": "2026-01-01T00:00:00.000Z"}
        return JSONResponse([entry | stamp for entry in line])
    return failure(404, "Not Found")


def _ref(prefix, name, oid):
    return {"name": name, "ref": prefix + name, "targetCommit": oid}


def paths_info(hub, commit, paths):
    """Answer POST .../paths-info/{revision}."""
    return JSONResponse([tree_entry(hub, p, commit.files[p]) for p in paths if p in commit.files])


def resolve(hub, request, name, repository, revision, path):
    """Answer GET and HEAD /{name}/resolve/{revision}/{path}, ranges included."""
    commit = repository.at(revision)
    if commit is None:
        return no_revision(revision)
    file = commit.files.get(path)
    if file is None:
        return no_entry(path, commit.oid)
    content = hub.changed.get(path, file.content)
    headers = {
        "X-Repo-Commit": commit.oid,
        "ETag": f'"{file.etag}"',
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'inline; filename="{path.split("/")[-1]}"',
    }
    if file.lfs:
        headers |= {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(len(file.content))}
    if hub.xet and file.lfs and (xet_hash := hub.xet.name(file.sha256)):
        token = f"{hub.url}/api/models/{name}/xet-read-token/{revision}"
        headers |= {"X-Xet-Hash": xet_hash, "X-Xet-Refresh-Route": token}
    headers |= hub.headers.get(path, {})
    start, stop, status = 0, len(content), 200
    if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", "")):
        start, stop = int(wanted[1]), min(int(wanted[2] or stop - 1) + 1, stop)
        if start >= len(content):
            return Response(status_code=416, headers={"Content-Range": f"bytes */{len(content)}"})
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
        status = 206
    headers = {"Content-Length": str(stop - start)} | headers
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    cut = hub.next_cut(path)
    end = stop if cut is None else min(start + cut, stop)
    return StreamingResponse(_body(content, start, end), status_code=status, headers=headers)


async def _body(content, start, stop):
    """Chunks; too few of them for the announced length close the connection half way."""
    for first in range(start, stop, CHUNK):
        yield content[first : min(first + CHUNK, stop)]
        await asyncio.sleep(0)
