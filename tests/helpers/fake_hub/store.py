"""The state of a Hub: repositories, their commits, branches and tags, and large files by sha256."""

import hashlib
import itertools
from dataclasses import dataclass, field

LARGE = (".safetensors", ".bin", ".pt", ".ckpt", ".onnx")
MAIN = "main"


@dataclass(frozen=True)
class File:
    content: bytes
    lfs: bool

    @property
    def sha256(self):
        return hashlib.sha256(self.content).hexdigest()

    @property
    def pointer(self):
        text = f"oid sha256:{self.sha256}\nsize {len(self.content)}\n"
        return ("version https://git-lfs.github.com/spec/v1\n" + text).encode()

    @property
    def oid(self):
        """The git object id: of the pointer, for a large file."""
        content = self.pointer if self.lfs else self.content
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    @property
    def etag(self):
        return self.sha256 if self.lfs else self.oid


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    title: str
    files: dict[str, File]


@dataclass
class Repository:
    private: bool = False
    gated: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    _count: itertools.count = field(default_factory=itertools.count)

    def __post_init__(self):
        self.commit(
            {".gitattributes": File(b"*.safetensors filter=lfs\n", False)}, "initial commit"
        )

    def commit(self, files, title, *, ref=MAIN, parent=None):
        """Put a commit with exactly these files on a ref."""
        seed = f"{title}{next(self._count)}{parent}{sorted((k, v.oid) for k, v in files.items())}"
        made = Commit(hashlib.sha1(seed.encode()).hexdigest(), parent, title, dict(files))
        self.commits[made.oid] = made
        self.refs[ref] = made.oid
        return made

    def at(self, revision):
        """The commit that a branch, tag or id names, None if there is none."""
        return self.commits.get(self.refs.get(revision, revision))

    @property
    def files(self):
        return self.at(MAIN).files


@dataclass
class Store:
    """Tokens are owner names with "hf_" in front: "hf_ada" may write ada/ and read private ada/."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    organisations: dict[str, set[str]] = field(default_factory=dict)

    def add(self, repo, files, *, private=False, gated=False, title="add files"):
        """Create a repository if needed and commit files {path: bytes} to main."""
        kept = self.repositories.setdefault(repo, Repository(private, gated))
        new = {path: File(content, path.endswith(LARGE)) for path, content in files.items()}
        self.large |= {file.sha256: file.content for file in new.values() if file.lfs}
        return kept.commit({**kept.files, **new}, title, parent=kept.at(MAIN).oid)

    def add_folder(self, repo, folder, **options):
        files = {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}
        return self.add(repo, files, **options)

    def may(self, token, repo):
        """Whether the bearer of a token belongs to the owner of a repository."""
        owner, user = repo.split("/")[0], (token or "").removeprefix("hf_")
        return bool(user) and (user == owner or user in self.organisations.get(owner, ()))
