"""A Hub on loopback: a real HTTP server that speaks what `huggingface_hub` 2 speaks, run as a process of its own.

    python tests/support/local_hub.py --root FOLDER [--port 0]

State lies in FOLDER (content-addressed blobs, one JSON per repository), so that a server which dies in the middle of
an upload can be started again on what it had. Users are the tokens of `TOKENS`. Faults are planted over HTTP at
`/_test/faults` (see `Fault`), the request log is read at `/_test/log`, repositories at `/_test/repos`.

Spoken: whoami, create, delete, visibility, validate-yaml, preupload, LFS batch (single and multi-part), verify, commit
(also as pull request), tree, paths-info, refs, branches, tags, commits, info, and resolve with HEAD, and
ranges. Not spoken: Xet; clients run with HF_HUB_DISABLE_XET=1.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import threading
import time
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

# token: (user, role, organizations). An expired token is known but refused.
TOKENS = {
    "hf_alice_write_0123456789abcdefghij": ("alice", "write", ["acme"]),
    "hf_alice_read_0123456789abcdefghijk": ("alice", "read", ["acme"]),
    "hf_bob_write_0123456789abcdefghijkl": ("bob", "write", []),
    "hf_alice_expired_0123456789abcdefgh": ("alice", "expired", []),
}
PART = 8 << 20  # files above this go up in parts
LFS_FROM = 1 << 20
BINARY = (".safetensors", ".bin", ".parquet", ".npy", ".arrow", ".png", ".pt", ".model")
KINDS = ("models", "datasets", "spaces")


class Refused(Exception):
    """An answer that is an error: HTTP status, message, and the code in `X-Error-Code` that the client reads."""

    def __init__(self, status: int, message: str, code: str = "", **extra: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.extra = status, message, code, extra


@dataclass
class Fault:
    """Something that goes wrong with requests that match.

    Args:
        method, path: of the request; `path` is a regular expression searched for in the path.
        action: `"status"` answers with `status`; `"drop"` closes the connection without an answer; `"lost"` does what
            was asked and then closes it; `"half"` reads half of the body, then closes it; `"die"` ends the process.
        times: how often; -1: always.
        skip: so many matching requests pass first.
    """

    method: str
    path: str
    action: str = "status"
    status: int = 503
    times: int = 1
    skip: int = 0
    headers: dict[str, str] | None = None
    message: str = "planted fault"


class Store:
    """Repositories and blobs in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = threading.RLock()
        for name in ("blobs", "parts", "repos"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def file_of(self, kind: str, repo_id: str) -> Path:
        return self.root / "repos" / f"{kind}--{repo_id.replace('/', '--')}.json"

    def repos(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted((self.root / "repos").glob("*.json"))]

    def find(self, kind: str, repo_id: str) -> dict[str, Any] | None:
        path = self.file_of(kind, repo_id)
        return json.loads(path.read_text()) if path.is_file() else None

    def save(self, repo: dict[str, Any]) -> None:
        path = self.file_of(repo["kind"], repo["id"])
        temporary = path.with_suffix(f".{threading.get_ident()}.tmp")
        temporary.write_text(json.dumps(repo))
        os.replace(temporary, path)

    def create(self, kind: str, repo_id: str, private: bool) -> dict[str, Any]:
        repo = {
            "kind": kind,
            "id": repo_id,
            "private": private,
            "gated": False,
            "allowed": [],
            "commits": {},
            "refs": {},
            "tags": {},
        }
        self.save(repo)
        self.commit(repo, "main", {}, "initial commit", add_attributes=True)
        return repo

    def commit(
        self, repo: dict[str, Any], ref: str, files: dict[str, Any], title: str, add_attributes: bool = False
    ) -> str:
        if add_attributes:
            files = {".gitattributes": self.put(b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n")}
        parent = repo["refs"].get(ref)
        content = json.dumps([parent, files, title, len(repo["commits"])], sort_keys=True)
        sha = hashlib.sha1(content.encode()).hexdigest()
        repo["commits"][sha] = {"parent": parent, "files": files, "title": title, "date": time.time()}
        repo["refs"][ref] = sha
        self.save(repo)
        return sha

    def put(self, content: bytes) -> dict[str, Any]:
        """Keep a small file's content; its id is git's."""
        digest = hashlib.sha256(content).hexdigest()
        (self.root / "blobs" / digest).write_bytes(content)
        return {
            "oid": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
            "sha256": digest,
            "size": len(content),
            "lfs": False,
        }

    def blob(self, digest: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise Refused(400, "not a sha256")
        return self.root / "blobs" / digest


class Hub(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, store: Store, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.store = store
        self.faults: list[Fault] = []
        self.log: list[dict[str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def fault_for(self, method: str, path: str) -> Fault | None:
        with self.store.lock:
            for fault in self.faults:
                if fault.times != 0 and fault.method in ("*", method) and re.search(fault.path, path):
                    if fault.skip > 0:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        return None

    def do_GET(self) -> None:
        self.answer_to("GET")

    def do_HEAD(self) -> None:
        self.answer_to("HEAD")

    def do_POST(self) -> None:
        self.answer_to("POST")

    def do_PUT(self) -> None:
        self.answer_to("PUT")

    def do_DELETE(self) -> None:
        self.answer_to("DELETE")

    def answer_to(self, method: str) -> None:
        self.url = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(self.url.query).items()}
        self.parts = [unquote(part) for part in self.url.path.split("/") if part]
        self.length = int(self.headers.get("Content-Length") or 0)
        self.consumed = False
        if self.parts[:1] == ["_test"]:
            self.for_tests(method)
            return
        fault = self.server.fault_for(method, self.url.path)
        entry = {
            "method": method,
            "path": self.url.path,
            "query": self.query,
            "fault": fault.action if fault else None,
            "user": self.user_name(),
        }
        self.server.log.append(entry)
        if fault is not None and fault.action == "die":
            os._exit(17)
        if fault is not None and fault.action in ("drop", "half"):
            if fault.action == "half":
                self.rfile.read(self.length // 2)
            self.close_connection = True
            self.connection.close()
            return
        try:
            if fault is not None and fault.action == "status":
                raise Refused(fault.status, fault.message, headers=fault.headers or {})
            self.silent = fault is not None
            self.route(method)
            if self.silent:  # done, but nobody hears of it
                self.close_connection = True
                self.connection.close()
        except Refused as refusal:
            entry["status"] = refusal.status
            headers = {"X-Error-Message": refusal.message, **refusal.extra.pop("headers", {})}
            if refusal.code:
                headers["X-Error-Code"] = refusal.code
            self.reply({"error": refusal.message, **refusal.extra}, refusal.status, headers)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    # -- what every answer needs ------------------------------------------------------------------------------------

    def body(self) -> bytes:
        self.consumed = True
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(self.length)

    def reply(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        if not self.consumed:
            self.body()  # a connection that is kept alive must not have a rest of the request in it
        if getattr(self, "silent", False):
            return
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def user_name(self) -> str | None:
        known = TOKENS.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        return known[0] if known else None

    def identity(self, needed: str = "") -> tuple[str, list[str]] | None:
        """Who asks: (user, organizations), or None for nobody. `needed="write"` refuses everyone who may not."""
        header = self.headers.get("Authorization")
        if header is None:
            if needed:
                raise Refused(401, "Invalid username or password.")
            return None
        known = TOKENS.get(header.removeprefix("Bearer "))
        if known is None or known[1] == "expired":
            raise Refused(401, "Invalid credentials in Authorization header")
        if needed == "write" and known[1] != "write":
            raise Refused(403, "You have read access but not the required permissions for this operation")
        return known[0], known[2]

    def repo(self, kind: str, repo_id: str, needed: str = "read") -> dict[str, Any]:
        who = self.identity("write" if needed == "write" else "")
        repo = self.server.store.find(kind, repo_id)
        mine = who is not None and repo_id.partition("/")[0] in (who[0], *who[1])
        if repo is None or (repo["private"] and not mine):
            raise Refused(404 if who else 401, "Repository not found", "RepoNotFound")
        if needed == "write" and not mine:
            raise Refused(403, f"You don't have the rights to write to {repo_id}")
        if needed == "content" and repo["gated"] and not mine and (who is None or who[0] not in repo["allowed"]):
            raise Refused(403 if who else 401, f"Access to {repo_id} is restricted", "GatedRepo")
        return repo

    def files_at(self, repo: dict[str, Any], revision: str) -> tuple[str, dict[str, Any]]:
        sha = (
            repo["refs"].get(revision)
            or repo["tags"].get(revision)
            or (revision if revision in repo["commits"] else None)
        )
        if sha is None:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return sha, repo["commits"][sha]["files"]

    # -- routes -----------------------------------------------------------------------------------------------------

    def route(self, method: str) -> None:
        parts = self.parts
        if parts[:1] == ["api"]:
            self.api(method, parts[1:])
        elif parts[-3:] == ["info", "lfs", "objects"] or parts[-4:-1] == ["info", "lfs", "objects"]:
            kind, repo_id = _kind_and_id([*parts[: parts.index("info")]])
            self.lfs_batch(kind, repo_id.removesuffix(".git"))
        elif parts[:1] == ["lfs"]:
            self.lfs(method, parts[1:])
        elif "resolve" in parts:
            where = parts.index("resolve")
            kind, repo_id = _kind_and_id(parts[:where])
            self.resolve(kind, repo_id, parts[where + 1], "/".join(parts[where + 2 :]))
        else:
            raise Refused(404, f"no such route: {self.path}")

    def api(self, method: str, parts: list[str]) -> None:
        if parts == ["whoami-v2"]:
            user, organizations = self.identity("read") or ("", [])
            token = self.headers["Authorization"].removeprefix("Bearer ")
            role = {"accessToken": {"role": TOKENS[token][1], "displayName": "test"}}
            self.reply(
                {
                    "type": "user",
                    "name": user,
                    "orgs": [{"name": name, "type": "org"} for name in organizations],
                    "auth": role,
                }
            )
        elif parts == ["validate-yaml"]:
            self.validate_yaml()
        elif parts[:1] == ["repos"]:
            self.repos(method, parts[1])
        elif parts and parts[0] in KINDS and len(parts) >= 3:
            self.of_repo(method, parts[0], "/".join(parts[1:3]), parts[3:])
        else:
            raise Refused(404, f"no such route: {self.path}")

    def validate_yaml(self) -> None:
        import yaml

        content = json.loads(self.body())["content"]
        front = re.match(r"\s*---\s*\n(.*?)\n---\s*(\n|$)", content, re.DOTALL)
        errors, warnings = [], []
        try:
            fields = yaml.safe_load(front.group(1)) if front else {}
        except yaml.YAMLError as error:
            errors.append({"message": f"YAML: {error}"})
            fields = {}
        if fields.get("license") == "other" and not fields.get("license_name"):
            warnings.append({"message": '"license_name" is needed with license "other"'})
        for name in ("tags", "datasets"):
            if not isinstance(fields.get(name) or [], list):
                errors.append({"message": f'"{name}" must be an array'})
        if errors:
            raise Refused(400, "Invalid metadata in README.md", errors=errors, warnings=warnings)
        self.reply({"errors": [], "warnings": warnings})

    def repos(self, method: str, action: str) -> None:
        who, given = self.identity("write"), json.loads(self.body())
        kind = f"{given.get('type') or 'model'}s"
        owner = given.get("organization") or who[0]
        repo_id = f"{owner}/{given['name']}"
        if owner not in (who[0], *who[1]):
            raise Refused(403, f"You don't have the rights to create a {kind[:-1]} under the namespace {owner!r}")
        store = self.server.store
        with store.lock:
            exists = store.find(kind, repo_id)
            if method == "DELETE":
                if exists is None:
                    raise Refused(404, "Repository not found", "RepoNotFound")
                store.file_of(kind, repo_id).unlink()
                self.reply({})
                return
            prefix = "" if kind == "models" else f"{kind}/"
            url = f"{self.server.url}/{prefix}{repo_id}"
            if exists is not None:
                raise Refused(409, f"You already created this {kind[:-1]} repo", url=url, name=repo_id)
            private = given.get("visibility") == "private" or bool(given.get("private"))
            store.create(kind, repo_id, private)
        self.reply({"url": url, "id": repo_id, "name": repo_id})

    def of_repo(self, method: str, kind: str, repo_id: str, rest: list[str]) -> None:
        verb, tail = (rest[0], rest[1:]) if rest else ("info", [])
        if verb in ("info", "revision"):
            self.info(kind, repo_id, tail[0] if tail else "main")
        elif verb == "preupload":
            self.preupload(kind, repo_id, tail[0])
        elif verb == "commit":
            with self.server.store.lock:
                self.commit(kind, repo_id, tail[0])
        elif verb == "tree":
            self.tree(kind, repo_id, tail[0], "/".join(tail[1:]))
        elif verb == "paths-info":
            self.paths_info(kind, repo_id, tail[0])
        elif verb == "refs":
            self.refs(kind, repo_id)
        elif verb == "commits":
            repo = self.repo(kind, repo_id)
            sha, found = self.files_at(repo, tail[0])[0], []
            while sha:
                commit = repo["commits"][sha]
                found.append(
                    {"id": sha, "title": commit["title"], "message": "", "date": _iso(commit["date"]), "authors": []}
                )
                sha = commit["parent"]
            self.reply(found)
        elif verb in ("branch", "tag"):
            self.mark(method, kind, repo_id, verb, "/".join(tail))
        elif verb == "settings":
            repo, given = self.repo(kind, repo_id, "write"), json.loads(self.body())
            repo["private"] = given.get("visibility", "private" if given.get("private") else "public") == "private"
            repo["gated"] = given.get("gated", repo["gated"])
            self.server.store.save(repo)
            self.reply({})
        else:
            raise Refused(404, f"no such route: {self.path}")

    def info(self, kind: str, repo_id: str, revision: str) -> None:
        repo = self.repo(kind, repo_id)
        sha, files = self.files_at(repo, revision)
        siblings = [
            {"rfilename": name, "size": entry["size"], "blobId": entry["oid"]} for name, entry in files.items()
        ]
        card = self.card_of(files)
        self.reply(
            {
                "_id": sha[:24], "id": repo_id, "modelId": repo_id, "author": repo_id.partition("/")[0], "sha": sha,
                "private": repo["private"], "gated": repo["gated"], "disabled": False, "downloads": 0, "likes": 0,
                "lastModified": _iso(repo["commits"][sha]["date"]), "createdAt": _iso(repo["commits"][sha]["date"]),
                "tags": card.get("tags", []), "siblings": siblings, "cardData": card, "pipeline_tag": card.get("pipeline_tag"),
                "library_name": card.get("library_name"),
            }
        )  # fmt: skip

    def card_of(self, files: dict[str, Any]) -> dict[str, Any]:
        import yaml

        if "README.md" not in files:
            return {}
        text = self.server.store.blob(files["README.md"]["sha256"]).read_text()
        front = re.match(r"\s*---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
        fields = yaml.safe_load(front.group(1)) if front else {}
        return fields if isinstance(fields, dict) else {}

    def preupload(self, kind: str, repo_id: str, revision: str) -> None:
        repo = self.repo(kind, repo_id, "content" if self.query.get("create_pr") else "write")
        _, files = self.files_at(repo, revision)
        answer = []
        for item in json.loads(self.body())["files"]:
            big = item["size"] >= LFS_FROM or item["path"].endswith(BINARY)
            there = files.get(item["path"])
            oid = None if there is None else there["sha256"] if there["lfs"] else there["oid"]
            answer.append(
                {"path": item["path"], "uploadMode": "lfs" if big else "regular", "shouldIgnore": False, "oid": oid}
            )
        self.reply({"files": answer})

    def commit(self, kind: str, repo_id: str, revision: str) -> None:
        as_request = bool(self.query.get("create_pr"))
        repo = self.repo(kind, repo_id, "content" if as_request else "write")
        self.identity("write")
        parent, files = self.files_at(repo, revision)
        files, header = dict(files), {}
        for line in self.body().splitlines():
            item = json.loads(line)
            key, value = item["key"], item["value"]
            if key == "header":
                header = value
                if value.get("parentCommit") not in (None, parent):
                    raise Refused(412, "A commit has happened since. Please refresh and try again.")
            elif key == "file":
                files[value["path"]] = self.server.store.put(base64.b64decode(value["content"]))
            elif key == "lfsFile":
                blob = self.server.store.blob(value["oid"])
                if not blob.is_file():
                    raise Refused(400, f"LFS pointer {value['oid']} points to a file that was never uploaded")
                files[value["path"]] = {
                    "oid": hashlib.sha1(value["oid"].encode()).hexdigest(),
                    "sha256": value["oid"],
                    "size": blob.stat().st_size,
                    "lfs": True,
                }
            elif key == "deletedFile":
                if files.pop(value["path"], None) is None:
                    raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
            elif key == "deletedFolder":
                files = {
                    name: entry
                    for name, entry in files.items()
                    if not name.startswith(value["path"].rstrip("/") + "/")
                }
        if revision not in repo["refs"]:
            raise Refused(400, f"{revision} is not a branch")
        ref, number = revision, 0
        if as_request:
            number = 1 + sum(name.startswith("refs/pr/") for name in repo["refs"])
            ref = f"refs/pr/{number}"
            repo["refs"][ref] = parent
        sha = self.server.store.commit(repo, ref, files, header.get("summary", ""))
        url = f"{self.server.url}/{'' if kind == 'models' else kind + '/'}{repo_id}"
        extra = {"pullRequestUrl": f"{url}/discussions/{number}"} if as_request else {}
        self.reply({"success": True, "commitOid": sha, "commitUrl": f"{url}/commit/{sha}", "hookOutput": "", **extra})

    def tree(self, kind: str, repo_id: str, revision: str, folder: str) -> None:
        _, files = self.files_at(self.repo(kind, repo_id), revision)
        prefix = folder.rstrip("/") + "/" if folder else ""
        inside = {name: entry for name, entry in files.items() if name.startswith(prefix)}
        if folder and not inside:
            raise Refused(404, f"{folder} does not exist on {revision}", "EntryNotFound")
        deep = self.query.get("recursive", "").lower() in ("1", "true")
        found: dict[str, dict[str, Any]] = {}
        for name, entry in sorted(inside.items()):
            steps = name.removeprefix(prefix).split("/")
            for depth in range(1, len(steps)):
                if deep or depth == 1:
                    path = prefix + "/".join(steps[:depth])
                    found.setdefault(path, _folder(path))
            if deep or len(steps) == 1:
                found[name] = _entry(name, entry)
        self.reply(list(found.values()))

    def paths_info(self, kind: str, repo_id: str, revision: str) -> None:
        _, files = self.files_at(self.repo(kind, repo_id), revision)
        raw = self.body().decode()
        paths = json.loads(raw)["paths"] if raw.startswith("{") else parse_qs(raw).get("paths", [])
        found = []
        for path in map(str, paths):
            if path in files:
                found.append(_entry(path, files[path]))
            elif any(name.startswith(path.rstrip("/") + "/") for name in files):
                found.append(_folder(path))
        self.reply(found)

    def refs(self, kind: str, repo_id: str) -> None:
        repo = self.repo(kind, repo_id)
        pulls = [name for name in repo["refs"] if name.startswith("refs/pr/")]
        named = [
            {"name": n, "ref": f"refs/heads/{n}", "targetCommit": repo["refs"][n]}
            for n in repo["refs"]
            if n not in pulls
        ]
        tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": sha} for n, sha in repo["tags"].items()]
        requests = [{"name": n, "ref": n, "targetCommit": repo["refs"][n]} for n in pulls]
        self.reply({"branches": named, "tags": tags, "converts": [], "pullRequests": requests})

    def mark(self, method: str, kind: str, repo_id: str, verb: str, name: str) -> None:
        repo = self.repo(kind, repo_id, "write")
        given = json.loads(self.body() or b"{}")
        where = repo["refs"] if verb == "branch" else repo["tags"]
        if method == "DELETE":
            where.pop(name, None)
        else:
            name, start = (name, given.get("startingPoint")) if verb == "branch" else (given["tag"], name)
            if name in where:
                raise Refused(409, f"Reference {name} already exists")
            where[name] = self.files_at(repo, start or "main")[0]
        self.server.store.save(repo)
        self.reply({})

    # -- large files ------------------------------------------------------------------------------------------------

    def lfs_batch(self, kind: str, repo_id: str) -> None:
        self.repo(kind, repo_id, "content")
        self.identity("write")
        objects = []
        for item in json.loads(self.body())["objects"]:
            oid, size = item["oid"], item["size"]
            answer: dict[str, Any] = {"oid": oid, "size": size}
            if not self.server.store.blob(oid).is_file():
                upload: dict[str, Any] = {"href": f"{self.server.url}/lfs/blob/{oid}?size={size}"}
                if size > PART:
                    count = -(-size // PART)
                    parts = {f"{n}": f"{self.server.url}/lfs/part/{oid}/{n}" for n in range(1, count + 1)}
                    upload = {
                        "href": f"{self.server.url}/lfs/complete/{oid}?size={size}",
                        "header": {"chunk_size": str(PART), **parts},
                    }
                answer["actions"] = {"upload": upload, "verify": {"href": f"{self.server.url}/lfs/verify"}}
            objects.append(answer)
        self.reply({"transfer": "basic", "objects": objects})

    def lfs(self, method: str, parts: list[str]) -> None:
        store = self.server.store
        if parts[0] == "blob":
            self.keep(parts[1], self.body())
            self.reply(b"")
        elif parts[0] == "part":
            content = self.body()
            (store.root / "parts" / f"{parts[1]}-{int(parts[2]):05d}").write_bytes(content)
            self.reply(b"", headers={"ETag": f'"{hashlib.md5(content).hexdigest()}"'})
        elif parts[0] == "complete":
            json.loads(self.body())
            pieces = sorted((store.root / "parts").glob(f"{parts[1]}-*"))
            self.keep(parts[1], b"".join(piece.read_bytes() for piece in pieces))
            for piece in pieces:
                piece.unlink()
            self.reply({})
        elif parts[0] == "verify":
            given = json.loads(self.body())
            blob = store.blob(given["oid"])
            if not blob.is_file() or blob.stat().st_size != given["size"]:
                raise Refused(404, "the object was not uploaded")
            self.reply({})
        else:
            raise Refused(404, f"no such route: {self.path}")

    def keep(self, oid: str, content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() != oid:
            raise Refused(400, "the content does not have the announced sha256")
        blob = self.server.store.blob(oid)
        temporary = blob.with_suffix(f".{threading.get_ident()}")
        temporary.write_bytes(content)
        os.replace(temporary, blob)

    def resolve(self, kind: str, repo_id: str, revision: str, path: str) -> None:
        repo = self.repo(kind, repo_id, "content")
        sha, files = self.files_at(repo, revision)
        if path not in files:
            raise Refused(404, f"{path} does not exist", "EntryNotFound", headers={"X-Repo-Commit": sha})
        entry = files[path]
        tag = f'"{entry["sha256"] if entry["lfs"] else entry["oid"]}"'
        headers = {"ETag": tag, "X-Repo-Commit": sha, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream",
                   "Last-Modified": formatdate(repo["commits"][sha]["date"], usegmt=True)}  # fmt: skip
        if entry["lfs"]:
            headers |= {"X-Linked-Etag": tag, "X-Linked-Size": str(entry["size"])}
        content = self.server.store.blob(entry["sha256"]).read_bytes()
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if wanted is None:
            self.reply(content, 200, headers)
            return
        first, last = wanted.groups()
        begin = int(first) if first else max(0, len(content) - int(last))
        end = min(int(last) + 1 if first and last else len(content), len(content))
        if begin >= len(content):
            raise Refused(416, "range not satisfiable", headers={"Content-Range": f"bytes */{len(content)}"})
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(content)}"
        self.reply(content[begin:end], 206, headers)

    def for_tests(self, method: str) -> None:
        what, server = self.parts[1], self.server
        given = json.loads(self.body() or b"{}")
        if what == "faults":
            server.faults[:] = [] if method == "DELETE" else [*server.faults, *(Fault(**fault) for fault in given)]
            self.reply({})
        elif what == "log":
            self.reply(server.log)
            if method == "DELETE":
                server.log.clear()
        elif what == "repos":
            if method == "POST":
                with server.store.lock:
                    repo = server.store.find(given["kind"], given["id"])
                    server.store.save({**repo, **given})
            self.reply(server.store.repos())


def _kind_and_id(parts: list[str]) -> tuple[str, str]:
    if parts and parts[0] in KINDS:
        return parts[0], "/".join(parts[1:])
    return "models", "/".join(parts)


def _entry(path: str, entry: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "file", "path": path, "oid": entry["oid"], "size": entry["size"]}
    if entry["lfs"]:
        found["lfs"] = {"oid": entry["sha256"], "size": entry["size"], "pointerSize": 134}
    return found


def _folder(path: str) -> dict[str, Any]:
    return {"type": "directory", "path": path, "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0}


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(moment))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    server = Hub(Store(given.root), given.port)
    print(server.url, flush=True)  # whoever starts us waits for this line
    server.serve_forever()


if __name__ == "__main__":
    main()
