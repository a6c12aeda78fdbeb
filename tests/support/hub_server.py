"""Serve a small Hub on this machine, so that the real client can be tested.

Run `python tests/support/hub_server.py FOLDER`.
"""

import argparse
import base64
import hashlib
import json
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from hub_store import Faults, Store


_KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}


class Handler(BaseHTTPRequestHandler):
    """Answer what huggingface_hub asks."""

    protocol_version = "HTTP/1.1"
    store: Store
    faults: Faults

    def log_message(self, *args: Any) -> None:
        pass

    # ---- answers

    def send(self, status: int, content: Any = None, headers: dict[str, str] | None = None) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, code: str) -> None:
        self.send(404, {"error": code}, {"X-Error-Code": code})

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    # ---- requests

    def do_GET(self) -> None:
        self.route()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def route(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if self.faults.strike(self):
            return
        if match := re.fullmatch(r"/blobs/([0-9a-f]{64})", path):
            self.put_blob(match[1])
        elif path == "/api/whoami-v2":
            self.send(200, {"name": "owner", "type": "user", "orgs": [], "auth": {"accessToken": {"role": "write"}}})
        elif path == "/api/repos/create":
            self.create()
        elif path == "/api/validate-yaml":
            self.body()
            self.send(200, {"errors": [], "warnings": []})
        elif match := re.fullmatch(r"/(?:(datasets|spaces)/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            self.lfs_batch()
        elif match := re.fullmatch(r"/api/(models|datasets|spaces)/([^/]+/[^/]+)(?:/(.*))?", path):
            self.api(_KINDS[match[1]], match[2], match[3] or "")
        elif match := re.fullmatch(r"/(?:(datasets|spaces)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.resolve(_KINDS[match[1] or "models"], match[2], match[3], match[4])
        else:
            self.body()
            self.missing("RepoNotFound")

    def create(self) -> None:
        wish = json.loads(self.body())
        name = f"{wish.get('organization') or 'owner'}/{wish['name']}"
        kind = wish.get("type") or "model"
        url = f"{self.base}/{'' if kind == 'model' else kind + 's/'}{name}"
        if self.store.repo(kind, name) is not None:
            return self.send(409, {"error": "You already created this repo", "url": url})
        first = hashlib.sha1(name.encode()).hexdigest()
        private = wish.get("visibility") == "private" or bool(wish.get("private"))
        repo = {"commits": {first: {}}, "refs": {"main": first}, "tags": {}, "private": private}
        self.store.save(kind, name, repo)
        return self.send(200, {"url": url, "id": name, "name": name})

    @property
    def base(self) -> str:
        return f"http://{self.headers['Host']}"

    def put_blob(self, sha256: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if self.command != "PUT":
            self.body()
            return self.send(200)
        digest, left = hashlib.sha256(), length
        partial = self.store.folder / "blobs" / f"{sha256}.{threading.get_ident()}.partial"
        with partial.open("wb") as file:
            while left:
                piece = self.rfile.read(min(left, 1 << 20))
                if not piece:
                    break
                if self.faults.cut(self, length - left):
                    return None
                file.write(piece)
                digest.update(piece)
                left -= len(piece)
        if left or digest.hexdigest() != sha256:
            partial.unlink()
            self.close_connection = True
            return self.send(400, {"error": "the content does not fit its name"})
        os.replace(partial, self.store.blob(sha256))
        self.send(200)
        return None

    def lfs_batch(self) -> None:
        objects = []
        for item in json.loads(self.body())["objects"]:
            entry = {"oid": item["oid"], "size": item["size"]}
            if not self.store.blob(item["oid"]).exists():
                href = f"{self.base}/blobs/{item['oid']}"
                entry["actions"] = {"upload": {"href": href}}
            objects.append(entry)
        self.send(200, {"transfer": "basic", "objects": objects})

    def api(self, kind: str, name: str, rest: str) -> None:
        content = self.body()
        repo = self.store.repo(kind, name)
        if repo is None:
            return self.missing("RepoNotFound")
        action, _, rest = rest.partition("/")
        if action in ("", "revision"):
            return self.info(name, repo, unquote(rest) or "main")
        if action == "preupload":
            files = [
                {"path": f["path"], "uploadMode": self.mode(f), "shouldIgnore": False}
                for f in json.loads(content)["files"]
            ]
            return self.send(200, {"files": files})
        if action == "commit":
            return self.commit(kind, name, rest, content)
        if action == "tree":
            revision, _, folder = rest.partition("/")
            return self.tree(repo, revision, folder)
        if action == "paths-info":
            wanted = json.loads(content)["paths"] if content.startswith(b"{") else []
            files = self.files(repo, rest) or {}
            return self.send(200, [self.store.describe(path, files[path]) for path in wanted if path in files])
        if action == "refs":
            branches = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": c} for n, c in repo["refs"].items()]
            tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": c} for n, c in repo["tags"].items()]
            return self.send(200, {"branches": branches, "tags": tags, "converts": []})
        if action == "tag" and self.command == "DELETE":
            if repo["tags"].pop(rest, None) is None:
                return self.missing("RevisionNotFound")
            self.store.save(kind, name, repo)
            return self.send(200, {})
        if action == "tag":
            tag = json.loads(content)["tag"]
            if tag in repo["tags"]:
                return self.send(409, {"error": "the tag exists"})
            repo["tags"][tag] = self.commit_of(repo, rest)
            self.store.save(kind, name, repo)
            return self.send(200, {})
        if action == "branch":
            repo["refs"].setdefault(rest, repo["refs"]["main"])
            self.store.save(kind, name, repo)
            return self.send(200, {})
        return self.missing("EntryNotFound")

    @staticmethod
    def mode(file: dict[str, Any]) -> str:
        return "lfs" if file["size"] > 1_000_000 or file["path"].endswith((".safetensors", ".parquet")) else "regular"

    @staticmethod
    def commit_of(repo: dict[str, Any], revision: str) -> str | None:
        revision = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        found = repo["refs"].get(revision) or repo["tags"].get(revision) or revision
        return found if found in repo["commits"] else None

    def files(self, repo: dict[str, Any], revision: str) -> dict[str, Any] | None:
        commit = self.commit_of(repo, revision)
        return None if commit is None else repo["commits"][commit]

    def info(self, name: str, repo: dict[str, Any], revision: str) -> None:
        commit = self.commit_of(repo, revision)
        if commit is None:
            return self.missing("RevisionNotFound")
        siblings = [{"rfilename": path} for path in repo["commits"][commit]]
        facts = {"private": repo["private"], "tags": [], "gated": False, "disabled": False, "downloads": 0, "likes": 0}
        return self.send(200, {"id": name, "modelId": name, "sha": commit, "siblings": siblings, **facts})

    def commit(self, kind: str, name: str, branch: str, content: bytes) -> None:
        changes: dict[str, dict[str, Any] | None] = {}
        parent = None
        repo = self.store.repo(kind, name)
        for line in content.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header":
                parent = value.get("parentCommit")
            elif item["key"] == "file":
                data = base64.b64decode(value["content"])
                changes[value["path"]] = {"sha256": self.store.add_blob(data), "size": len(data), "lfs": False}
            elif item["key"] == "lfsFile":
                if not self.store.blob(value["oid"]).exists():
                    return self.send(400, {"error": f"{value['path']} was never uploaded"})
                changes[value["path"]] = {"sha256": value["oid"], "size": value["size"], "lfs": True}
            elif item["key"] == "deletedFile":
                changes[value["path"]] = None
            elif item["key"] == "deletedFolder":
                changes.update((p, None) for p in repo["commits"][repo["refs"][branch]] if p.startswith(value["path"]))
        sha = self.store.commit(kind, name, branch, changes, parent)
        if sha is None:
            return self.send(412, {"error": "another commit came before"})
        return self.send(200, {"success": True, "commitOid": sha, "commitUrl": f"{self.base}/{name}/commit/{sha}"})

    def tree(self, repo: dict[str, Any], revision: str, folder: str) -> None:
        files = self.files(repo, revision)
        if files is None:
            return self.missing("RevisionNotFound")
        prefix = f"{folder}/" if folder else ""
        inside = {path: file for path, file in files.items() if path.startswith(prefix)}
        if folder and not inside:
            return self.missing("EntryNotFound")
        recursive = "recursive=true" in self.path.lower()
        entries = [
            self.store.describe(path, file)
            for path, file in inside.items()
            if recursive or "/" not in path[len(prefix) :]
        ]
        folders = {prefix + path[len(prefix) :].split("/")[0] for path in inside if "/" in path[len(prefix) :]}
        entries += [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(folders)]
        return self.send(200, entries)

    def resolve(self, kind: str, name: str, revision: str, path: str) -> None:
        repo = self.store.repo(kind, name)
        if repo is None:
            return self.missing("RepoNotFound")
        commit = self.commit_of(repo, revision)
        if commit is None:
            return self.missing("RevisionNotFound")
        file = repo["commits"][commit].get(path)
        headers = {"X-Repo-Commit": commit}
        if file is None:
            return self.send(404, {"error": "no entry"}, {**headers, "X-Error-Code": "EntryNotFound"})
        size, start, end = file["size"], 0, file["size"] - 1
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            start, end = int(match[1]), int(match[2] or end)
            headers["Content-Range"] = f"bytes {start}-{end}/{size}"
        self.send_response(206 if "Content-Range" in headers else 200)
        headers |= {"ETag": f'"{file["sha256"]}"', "Accept-Ranges": "bytes", "X-Linked-Size": str(size)}
        headers |= {"X-Linked-Etag": f'"{file["sha256"]}"', "Content-Length": str(end - start + 1)}
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return None
        with self.store.blob(file["sha256"]).open("rb") as content:
            content.seek(start)
            sent = 0
            while piece := content.read(min(1 << 20, end - start + 1 - sent)):
                if self.faults.cut(self, sent):
                    return None
                self.wfile.write(piece)
                sent += len(piece)
        return None


def serve(folder: Path, port: int = 0, seed: int | None = None, share: float = 0.2) -> ThreadingHTTPServer:
    """Make a server on 127.0.0.1; `serve_forever` runs it."""
    handler = type("BoundHandler", (Handler,), {"store": Store(folder), "faults": Faults(seed, share)})
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--faults", type=int, default=None, help="seed of random faults")
    parser.add_argument("--share", type=float, default=0.2, help="of requests that fail")
    arguments = parser.parse_args()
    server = serve(arguments.folder, arguments.port, arguments.faults, arguments.share)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
