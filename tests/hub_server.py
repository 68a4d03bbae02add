"""A stand-in for the Hugging Face Hub on this machine: the few calls that sharing a policy needs.

Files over ten kilobytes go by Git LFS, as large ones do there.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

TOKENS = {
    "hf_writes": {"name": "me", "role": "write"},
    "hf_reads": {"name": "me", "role": "read"},
    "hf_fine": {"name": "me", "role": "fineGrained"},  # for other repositories
}
LICENSES = ("mit", "apache-2.0", "other")
LARGE = 10_000
"""Bytes."""
HEADER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


@dataclass
class Commit:
    """A state of a repository: all its files by name, and what changed to make it."""

    id: str
    files: dict[str, bytes]
    message: str
    added: list[str]
    deleted: list[str]


@dataclass
class Repository:
    """Its commits, the newest last."""

    private: bool
    commits: list[Commit] = field(default_factory=list)

    def commit(self, revision: str) -> Commit | None:
        """``main`` is the newest one."""
        if revision == "main":
            return self.commits[-1] if self.commits else None
        return next((each for each in self.commits if each.id == revision), None)


class Hub(ThreadingHTTPServer):
    """Serves from a thread until it is closed; keeps what is uploaded in memory."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Calls)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.calls: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Nobody answers any more."""
        self.shutdown()
        self.server_close()


class Calls(BaseHTTPRequestHandler):
    """One request; those that are not known are answered with 501."""

    server: Hub

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""

    def do_HEAD(self) -> None:
        self._get()

    def do_GET(self) -> None:
        self._get()

    def do_PUT(self) -> None:
        self._note()
        content = self._content()
        assert hashlib.sha256(content).hexdigest() == self._path.rpartition("/")[2]
        self.server.large[self._path.rpartition("/")[2]] = content
        self._answer({})

    def do_POST(self) -> None:
        self._note()
        content = self._content()
        if self._path == "/api/validate-yaml":
            return self._validate(json.loads(content)["content"])
        user = TOKENS.get(self._token)
        if user is None or user["role"] != "write":
            return self._refuse(403 if user else 401, "", "no right to write")
        if self._path == "/api/repos/create":
            return self._create(json.loads(content))
        if re.fullmatch(r"/api/models/(.+)/preupload/main", self._path):
            return self._choose_way(json.loads(content))
        if re.fullmatch(r"/(.+)\.git/info/lfs/objects/batch", self._path):
            return self._take_large(json.loads(content))
        if found := re.fullmatch(r"/api/models/(.+)/commit/main", self._path):
            return self._commit(found[1], [json.loads(line) for line in content.splitlines()])
        self._refuse(501, "", "not known here")

    # --- reading -----------------------------------------------------------------------------

    def _get(self) -> None:
        self._note()
        user = TOKENS.get(self._token)
        if self._token and user is None:
            return self._refuse(401, "", "Invalid credentials in Authorization header")
        if self._path == "/api/whoami-v2":
            assert user is not None
            role = {"accessToken": {"role": user["role"]}}
            return self._answer({"name": user["name"], "orgs": [{"name": "club"}], "auth": role})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)", self._path):
            if repository := self._readable(found[1]):
                self._answer({"id": found[1], "private": repository.private})
            return
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self._path)
        if found is None:
            return self._refuse(501, "", "not known here")
        if repository := self._readable(found[1]):
            self._send_file(repository, found[2], found[3])

    def _readable(self, name: str) -> Repository | None:
        repository = self.server.repositories.get(name)
        if repository is None or (repository.private and not self._token):
            self._refuse(404 if self._token else 401, "RepoNotFound", "Repository not found")
            return None
        return repository

    def _send_file(self, repository: Repository, revision: str, name: str) -> None:
        commit = repository.commit(revision)
        if commit is None:
            return self._refuse(404, "RevisionNotFound", "Invalid rev id")
        if name not in commit.files:
            return self._refuse(404, "EntryNotFound", "Entry not found")
        content = commit.files[name]
        headers = {"X-Repo-Commit": commit.id, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        self._send(200, content, headers)

    # --- writing -----------------------------------------------------------------------------

    def _validate(self, card: str) -> None:
        """Figures need what makes the Hub show them, and a license a name that it knows."""
        found = HEADER.match(card)
        header = yaml.safe_load(found[1]) if found else {}
        for model in header.get("model-index", []):
            for result in model["results"]:
                assert result["task"]["type"] and result["dataset"]["type"]
                assert all({"type", "value"} <= set(metric) for metric in result["metrics"])
        known = header.get("license", "mit") in LICENSES
        errors = [] if known else [{"message": "license is none of those known"}]
        self._answer({"errors": errors, "warnings": []}, 200 if known else 400)

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        known = name in self.server.repositories
        if not known:
            private = wanted.get("visibility") == "private" or wanted.get("private", False)
            self.server.repositories[name] = Repository(private)
        answer = {"url": f"{self.server.url}/{name}", "name": name}
        self._answer(
            answer | ({"error": "it is there already"} if known else {}), 409 * known or 200
        )

    def _choose_way(self, wanted: dict[str, Any]) -> None:
        ways = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["size"] > LARGE else "regular",
                "shouldIgnore": False,
            }
            for file in wanted["files"]
        ]
        self._answer({"files": ways})

    def _take_large(self, wanted: dict[str, Any]) -> None:
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.server.url}/large/{each['oid']}"}}}
            for each in wanted["objects"]
        ]
        self._answer({"transfer": "basic", "objects": objects})

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        repository = self.server.repositories[name]
        files = dict(repository.commits[-1].files) if repository.commits else {}
        message, added, deleted = "", [], []
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                message = value["summary"]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
                deleted.append(value["path"])
            else:
                large = line["key"] == "lfsFile"
                files[value["path"]] = (
                    self.server.large[value["oid"]] if large else base64.b64decode(value["content"])
                )
                added.append(value["path"])
        id = hashlib.sha1(f"{name} {len(repository.commits)}".encode()).hexdigest()
        repository.commits.append(Commit(id, files, message, sorted(added), deleted))
        self._answer({"commitUrl": f"{self.server.url}/{name}/commit/{id}", "commitOid": id})

    # --- what all need -----------------------------------------------------------------------

    @property
    def _path(self) -> str:
        return unquote(urlsplit(self.path).path)

    @property
    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _note(self) -> None:
        self.server.calls.append(f"{self.command} {self._path}")

    def _content(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, answer: dict[str, Any], status: int = 200) -> None:
        self._send(status, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": message})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
