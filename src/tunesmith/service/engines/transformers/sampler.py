"""Connection to the sampler of a base model: requests and responses over two pipes."""

import json
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import anyio

from tunesmith.service.engines.base import EngineError, EngineFailureError

__all__ = ["Sampler", "SamplerRequest"]

_COMMAND = (sys.executable, "-m", "tunesmith.train.sampler")
_READ_BYTES = 1 << 16
_ERROR_CHARS = 500


class SamplerRequest:
    """Request in progress.

    Args:
        id: Its number.
    """

    def __init__(self, id: int) -> None:
        self.id = id
        self.tokens: deque[Any] = deque()
        """Tokens that arrived and were not taken: id, log-probability, alternatives."""
        self.end: str | None = None
        """`stop` or `length`; None until the end."""
        self.error: str | None = None
        """The reason of a failure."""
        self.is_lost = False
        """Whether the process failed, not the request."""

    @property
    def is_ready(self) -> bool:
        """Whether something arrived that was not taken."""
        return bool(self.tokens or self.end or self.error)


class Sampler:
    """Process that generates with one base model; it is started by the first request.

    Args:
        base: Folder of the base model.
        command: Command of a sampler, before the folder.
    """

    def __init__(self, base: Path, command: Sequence[str] = _COMMAND) -> None:
        self._base = base
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: dict[int, SamplerRequest] = {}
        self._ids = count(1)
        self._received = b""
        self._reading = anyio.Lock()
        self._awaited: subprocess.Popen[bytes] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether requests are in progress."""
        return bool(self._requests)

    def send(self, operation: str, values: Mapping[str, Any]) -> SamplerRequest:
        """Send a request.

        Args:
            operation: `generate` or `score`.
            values: Its values.
        """
        if self._process is not None and self._process.poll() is not None:
            self._fail()  # before another process takes its place
        request = SamplerRequest(next(self._ids))
        self._requests[request.id] = request
        self._write({"op": operation, "id": request.id, **values})
        return request

    def forget(self, request: SamplerRequest) -> None:
        """Stop a request, unless it has ended."""
        if self._requests.pop(request.id, None) and not (request.end or request.error):
            self._write({"op": "cancel", "id": request.id})

    async def wait(self, request: SamplerRequest) -> None:
        """Wait until a request has tokens or has ended.

        One of all waiting tasks reads for the others, so no task is needed in the background.

        Raises:
            EngineError: The request or the sampler failed.
        """
        while not request.is_ready:
            async with self._reading:
                if not request.is_ready:
                    await self._receive()
        if request.error:
            self.forget(request)
            raise (EngineFailureError if request.is_lost else EngineError)(request.error)

    def close(self) -> None:
        """End the process."""
        self._stop()
        for request in self._requests.values():
            request.error = request.error or "the model was unloaded"
        self._requests.clear()

    def _write(self, command: Mapping[str, Any]) -> None:
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._process is not None and self._process.stdin is not None  # noqa: PT018, S101 - set above
        with suppress(BrokenPipeError):  # the reason is found by reading
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()

    def _start(self) -> None:
        self._stop()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._received = b""
        self._process = subprocess.Popen(  # noqa: S603 - the command is the user's
            [*self._command, str(self._base)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # a Ctrl-C is for the server
        )

    def _stop(self) -> None:
        """Kill the process, if there is one, and release its pipes."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        # A task that waits for output notices the end, and closes the pipe then.
        pipes = (process.stdin, None if self._awaited is process else process.stdout)
        for pipe in pipes:
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._errors.close()

    async def _receive(self) -> None:
        assert self._process is not None and self._process.stdout is not None  # noqa: PT018, S101 - started by `send`
        process, output = self._process, self._process.stdout
        self._awaited = process
        try:
            await anyio.wait_readable(output.fileno())
        finally:
            self._awaited = None
            if process is not self._process:
                output.close()
        if process is not self._process:
            return  # its requests have failed already
        data = os.read(output.fileno(), _READ_BYTES)
        if not data:
            self._fail()
            return
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            response: dict[str, Any] = json.loads(line)
            request = self._requests.get(response["id"])
            if request is not None:
                request.tokens.extend(response.get("tokens", ()))
                request.end = response.get("end")
                request.error = response.get("error")

    def _fail(self) -> None:
        self._errors.seek(0)
        text = self._errors.read().decode("utf-8", "replace").strip()[-_ERROR_CHARS:]
        message = f"the sampler of {self._base} has died: {text or 'it was killed'}"
        for request in self._requests.values():
            request.error, request.is_lost = message, True
        self._requests.clear()
