"""The example service, on a socket of this machine."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

WEBHOOK_SECRET = "whsec_dHVuZXNtaXRoLXR1bmVzbWl0aC10dW5lcw=="
SERVICE = Path(__file__).parents[2] / "examples" / "service"


@pytest.fixture
def webhook_secret():
    return WEBHOOK_SECRET


@pytest.fixture(scope="module")
def address():
    """Address of the example service, whose time runs 6,000 times as fast."""
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI_")}
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", "app:app", "--app-dir", SERVICE),
                *("--fd", str(listener.fileno()), "--log-level", "warning"),
            ],
            env={
                **environment,
                "OPENAI_WEBHOOK_SECRET": WEBHOOK_SECRET,
                "TUNESMITH_SPEED": "6000",
            },
            pass_fds=[listener.fileno()],
        )
        host, port = listener.getsockname()
        try:
            # The socket accepts connections already; the app may not be ready.
            httpx.get(f"http://{host}:{port}/models", timeout=60).raise_for_status()
            yield f"http://{host}:{port}"
        finally:
            server.terminate()
            server.wait(10)
