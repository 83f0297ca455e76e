"""A Hugging Face hub on loopback: the requests that `snapshot_download` makes."""

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

DESCRIPTION = re.compile(r"/api/models/([^/]+/[^/]+)/(revision|tree)/([^/]+)")
FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
BLOB = re.compile(r"/blobs/(\w+)")
TOKEN = "hf_of_a_reader"


class FakeHub:
    """Repositories, and the requests for them."""

    def __init__(self, url):
        self.url = url
        self.storage_url = url.replace("127.0.0.1", "localhost")
        """Large files are on another host, which must not get the token."""
        self.repositories = {}
        self.gated = set()
        self.requests = []
        self.authorizations = {"hub": set(), "storage": set()}
        self.can_send_large_files = threading.Event()
        self.can_send_large_files.set()

    def add(self, name, files, branch="main"):
        """Publish a commit of a repository: contents by file names; return its id."""
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        for revision in (branch, commit):
            self.repositories.setdefault(name, {})[revision] = (commit, files)
        return commit

    @property
    def sent_files(self):
        """Number of files that were sent."""
        return sum(method == "GET" and "/api/" not in path for method, path in self.requests)

    def blob(self, digest):
        """Return the large file of a digest."""
        return next(
            content
            for revisions in self.repositories.values()
            for _, files in revisions.values()
            for content in files.values()
            if hashlib.sha256(content).hexdigest() == digest
        )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Write no log."""

    def do_HEAD(self):
        """Describe a file."""
        self.do_GET()

    def do_GET(self):
        """Answer a request."""
        hub, path = self.server.hub, unquote(urlsplit(self.path).path)
        hub.requests.append((self.command, path))
        authorization = self.headers.get("authorization")
        host = "storage" if self.headers["host"].startswith("localhost") else "hub"
        hub.authorizations[host].add(authorization)
        if match := BLOB.fullmatch(path):
            self._send_large_file(hub.blob(match[1]))
            return
        description, file = DESCRIPTION.fullmatch(path), FILE.fullmatch(path)
        name, revision = (
            (description[1], description[3])
            if description
            else file.groups()[:2]
            if file
            else ("", "")
        )
        if name not in hub.repositories:
            self._fail(401, "RepoNotFound", "Invalid username or password.")
        elif revision not in hub.repositories[name]:
            self._fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif description:
            self._describe(description[2], name, *hub.repositories[name][revision])
        elif name in hub.gated and authorization != f"Bearer {TOKEN}":
            self._fail(
                403 if authorization else 401, "GatedRepo", f"Access to {name} is restricted."
            )
        else:
            self._resolve(*hub.repositories[name][revision], file[3])

    def _describe(self, kind, name, commit, files):
        value = {"id": name, "sha": commit, "siblings": [{"rfilename": file} for file in files]}
        if kind == "tree":
            value = [
                {
                    "type": "file",
                    "path": file,
                    "size": len(content),
                    "oid": hashlib.sha1(content).hexdigest(),
                }
                for file, content in files.items()
            ]
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _resolve(self, commit, files, file):
        content = files[file]
        headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
        if not file.endswith(".safetensors"):
            self._send(200, content, headers)
            return
        digest = hashlib.sha256(content).hexdigest()
        location = f"{self.server.hub.storage_url}/blobs/{digest}"
        linked = {"X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        self._send(302, b"", {**headers, **linked, "Location": location})

    def _send_large_file(self, content):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.server.hub.can_send_large_files.wait()
        self.wfile.write(content)

    def _fail(self, status, code, message):
        headers = {"X-Error-Code": code, "X-Error-Message": message}
        self._send(status, json.dumps({"error": message}).encode(), headers)

    def _send(self, status, content, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Ignore clients that leave."""


@contextmanager
def serving_hub():
    """Serve a hub without repositories."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.hub = FakeHub(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.hub
        server.hub.can_send_large_files.set()
        server.shutdown()
