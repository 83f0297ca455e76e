"""Where the peers live: an environment of their own, a server on a core of its own."""

import json
import os
import subprocess
import sys
import venv
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-peers"
PYTHON = PEERS / "bin" / "python"
AUTHORITY = PEERS / "authority.pem"
CERTIFICATE = PEERS / "server.pem"

_PACKAGES = ["openai[aiohttp]", "pyreqwest", "pyqwest", "trustme", "uvloop"]

_CLIENT_CORE, _SERVER_CORE = "0", "1"


def prepare():
    """Install the peers, with tunesmith beside them, so that all see the same packages."""
    if not PYTHON.exists():
        venv.create(PEERS, with_pip=True)
    if not CERTIFICATE.exists():
        install = [PYTHON, "-m", "pip", "install", "-q", *_PACKAGES, "-e", f"{ROOT}[fast]"]
        subprocess.run(install, check=True)
        _make_certificate()
    return PYTHON


def _make_certificate():
    """Make what the server proves itself by, and what the clients trust."""
    script = (
        "import sys, trustme\n"
        "authority = trustme.CA()\n"
        "authority.cert_pem.write_to_path(sys.argv[1])\n"
        "server = authority.issue_cert('127.0.0.1')\n"
        "server.private_key_and_cert_chain_pem.write_to_path(sys.argv[2])\n"
    )
    subprocess.run([PYTHON, "-c", script, AUTHORITY, CERTIFICATE], check=True)


def _environment():
    # Neither proxies nor keys of whoever runs this.
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | {"SSL_CERT_FILE": str(AUTHORITY)}


def _pinned(core, *command):
    return subprocess.Popen(
        ["taskset", "-c", core, PYTHON, "-m", *command],
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def serving():
    """Start the server; gives its two URLs, HTTP and HTTPS."""
    with _pinned(_SERVER_CORE, "tests.benchmarks.server", CERTIFICATE) as server:
        http, https = server.stdout.readline().split()
        yield f"http://127.0.0.1:{http}/v1", f"https://127.0.0.1:{https}/v1"
        server.stdin.close()


class Worker:
    """One client in a process of its own."""

    def __init__(self, peer, url):
        self.process = _pinned(_CLIENT_CORE, "tests.benchmarks.worker", peer, url)
        if self.process.stdout.readline() != "ready\n":
            sys.exit(f"{peer} does not start")

    def run(self, order):
        """Have it run something; gives what that took."""
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.communicate()
