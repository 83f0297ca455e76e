"""What is measured, and of whom."""

from dataclasses import dataclass, field

from tests.benchmarks.answers import DOWNLOAD_BYTES, EVENTS

_OURS = ("tunesmith", "tunesmith-fast")
_SDKS = ("openai", "openai-aiohttp", *_OURS)
_RAW = ("httpx", "httpx2", "aiohttp", "pyreqwest", "pyqwest", "bare")
_ALL = (*_SDKS, *_RAW)


@dataclass(frozen=True, slots=True)
class Case:
    """Something that clients do, and what of it is told.

    Args:
        title: The heading of its table.
        order: What the clients are told to run.
        peers: The clients.
        unit: What the CPU is counted for.
        tls: Whether over HTTPS.
        fresh: Whether each run has a process of its own, for the peak of its memory.
    """

    title: str
    order: dict = field(hash=False)
    peers: tuple[str, ...] = _ALL
    unit: str = "call"
    tls: bool = False
    fresh: bool = False


def _calls(concurrency, number, *, tls=False):
    how = "one after the other" if concurrency == 1 else f"{concurrency:,} at once"
    return Case(
        f"Calls, {how}{', over TLS' if tls else ''}",
        {"run": "calls", "concurrency": concurrency, "number": number},
        tls=tls,
    )


def _streams(concurrency, chunks, pause_ms, *, tls=False):
    how = "1 stream" if concurrency == 1 else f"{concurrency} streams at once"
    return Case(
        f"Chunks of {how}{', over TLS' if tls else ''}",
        {"run": "streams", "concurrency": concurrency, "chunks": chunks, "pause_ms": pause_ms},
        unit="chunk",
        tls=tls,
    )


def _endpoint(endpoint, title):
    return {
        f"{endpoint}-32": Case(
            f"{title}, 32 calls at once",
            {"run": "calls", "concurrency": 32, "number": 640, "endpoint": endpoint},
            peers=_SDKS,
        ),
        f"{endpoint}-streams-64": Case(
            f"{title}, chunks of 64 streams at once",
            {"run": "streams", "concurrency": 64, "chunks": 25, "pause_ms": 30}
            | {"endpoint": endpoint},
            peers=_SDKS,
            unit="chunk",
        ),
    }


CASES = {
    "calls-1": _calls(1, 200),
    "calls-32": _calls(32, 640),
    "calls-256": _calls(256, 768),
    "calls-1000": Case(
        "Calls, 1,000 at once",
        {"run": "calls", "concurrency": 1000, "number": 1000},
        # With a thousand connections in one pool, raw httpx takes a minute for a thousand calls.
        peers=tuple(name for name in _ALL if name not in {"httpx", "httpx2"}),
    ),
    "streams-1": _streams(1, 200, 3),
    "streams-64": _streams(64, 25, 30),
    **_endpoint("chat", "Chat completions"),
    **_endpoint("responses", "Responses"),
    "tls-calls-1": _calls(1, 200, tls=True),
    "tls-calls-32": _calls(32, 640, tls=True),
    "tls-calls-256": _calls(256, 768, tls=True),
    "tls-streams-64": _streams(64, 25, 30, tls=True),
    "parse-answers": Case(
        "Parsing answers, without a network (`bare`: json.loads)",
        {"run": "parse", "what": "answers", "number": 20_000},
        peers=("openai", "tunesmith", "bare"),
        unit="answer",
    ),
    "parse-events": Case(
        "Parsing the events of a stream, without a network (`bare`: json.loads)",
        {"run": "parse", "what": "events", "number": 20_000},
        peers=("openai", "tunesmith", "bare"),
        unit="event",
    ),
    "own-calls-1": Case(
        "Our own share, calls one after the other",
        {"run": "calls", "concurrency": 1, "number": 3000},
        peers=("own-share",),
    ),
    "own-calls-1000": Case(
        "Our own share, 1,000 calls at once",
        {"run": "calls", "concurrency": 1000, "number": 3000},
        peers=("own-share",),
    ),
    "own-chunks": Case(
        "Our own share, chunks of 64 streams",
        {"run": "streams", "concurrency": 64, "chunks": 100, "pause_ms": 1},
        peers=("own-share",),
        unit="chunk",
    ),
    "events": Case(
        "10,000 events by pages",
        {"run": "events", "number": EVENTS},
        peers=_SDKS,
        unit="event",
    ),
    "upload": Case(
        "Upload of 200 MB",
        {"run": "upload", "size": DOWNLOAD_BYTES},
        peers=_SDKS,
        unit="MB",
        fresh=True,
    ),
    "download": Case(
        "Download of 200 MB",
        {"run": "download", "size": DOWNLOAD_BYTES},
        peers=_SDKS,
        unit="MB",
        fresh=True,
    ),
    "open-streams": Case(
        "1,000 streams open at once",
        {"run": "open_streams", "concurrency": 1000},
        peers=_SDKS,
        unit="chunk",
        fresh=True,
    ),
    "leak": Case(
        "100,000 calls: what they leave in memory",
        {"run": "leak", "number": 100_000},
        peers=_OURS,
        fresh=True,
    ),
}
