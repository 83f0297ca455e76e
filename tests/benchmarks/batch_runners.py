"""The batch runners that are compared, each in a process of its own.

    python -m tests.benchmarks.batch_runners RUNNER URL ROWS CONCURRENCY OUTPUT [LOOP]

The last line it prints is JSON: CPU and wall seconds, peak memory, and what the runner reports.
"""

import asyncio
import json
import resource
import sys
import time
from functools import partial

KEY = "sk-benchmark"
MODEL = "m"


def prompts(rows):
    return (f"Immanuel Kant number {i}" for i in range(int(rows)))


async def floor(url, rows, concurrency, output):
    """Bare aiohttp: workers take prompts and append lines. Nothing is retried or kept safe."""
    import aiohttp

    left = prompts(rows)
    headers = {"authorization": f"Bearer {KEY}"}
    connector = aiohttp.TCPConnector(limit=1000)
    with open(output, "ab", buffering=0) as file:  # noqa: ASYNC230, PTH123 - as people write it
        async with aiohttp.ClientSession(connector=connector, headers=headers) as client:

            async def work():
                for prompt in left:
                    asked = {"model": MODEL, "prompt": prompt}
                    async with client.post(url + "/completions", json=asked) as response:
                        answer = await response.json()
                    file.write(json.dumps({"prompt": prompt, "answer": answer}).encode() + b"\n")

            await asyncio.gather(*(work() for _ in range(concurrency)))


async def openai(url, rows, concurrency, output):
    """The official SDK, with as many workers."""
    import openai

    left = prompts(rows)
    failed = 0
    with open(output, "ab", buffering=0) as file:  # noqa: ASYNC230, PTH123 - as people write it
        async with openai.AsyncOpenAI(api_key=KEY, base_url=url) as client:

            async def work():
                nonlocal failed
                for prompt in left:
                    try:
                        answer = await client.completions.create(model=MODEL, prompt=prompt)
                    except openai.APIError:
                        failed += 1
                        continue
                    file.write(answer.model_dump_json().encode() + b"\n")

            await asyncio.gather(*(work() for _ in range(concurrency)))
    return {"failed": failed}


async def tunesmith(url, rows, concurrency, output, transport="httpx"):
    """tunesmith.batch over one of the HTTP backends."""
    import tunesmith
    from tunesmith.batch import BatchJob

    kind = {"httpx": "HttpxBackend", "fast": "FastBackend"}[transport]
    backend = getattr(tunesmith, kind)(url, api_key=KEY)
    async with (
        tunesmith.AsyncClient(backend=backend) as client,
        BatchJob(
            prompts(rows), output, client=client, model=MODEL, concurrency=concurrency, resume=True
        ) as job,
    ):
        print("begun", flush=True)
        report = await job.run()
    return report.to_dict()


class AtOnce:
    """A service that answers at once, without a socket."""

    BODY = (
        b'{"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"text":'
        b'" was born in K\xc3\xb6nigsberg, and hardly ever left it.","index":0,"finish_reason":'
        b'"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":40,"total_tokens":49}}'
    )

    def send(self, request):
        return self

    async def __aenter__(self):
        from tunesmith import Response

        # As of a socket: others get their turn.
        await asyncio.sleep(0)
        return Response(200, {}, self.chunks())

    async def __aexit__(self, *exc_info):
        pass

    async def chunks(self):
        yield self.BODY

    async def aclose(self):
        pass


async def at_once(url, rows, concurrency, output):
    """tunesmith.batch over a service in the same process that answers at once."""
    import tunesmith
    from tunesmith.batch import BatchJob

    client = tunesmith.AsyncClient(backend=AtOnce())
    source = prompts(rows) if url == "none" else url  # a file
    async with BatchJob(source, output, client=client, model=MODEL, concurrency=concurrency) as job:
        report = await job.run()
    return report.to_dict()


RUNNERS = {
    "floor (aiohttp)": floor,
    "openai": openai,
    "tunesmith": tunesmith,
    "tunesmith, fast": partial(tunesmith, transport="fast"),
    "at once": at_once,
}


def main(runner, url, rows, concurrency, output):
    began = time.monotonic()
    many = int(concurrency) if concurrency.isdecimal() else concurrency
    report = asyncio.run(RUNNERS[runner](url, int(rows), many, output)) or {}
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "cpu_s": used.ru_utime + used.ru_stime,
        "wall_s": time.monotonic() - began,
        "peak_mb": used.ru_maxrss / 1024,
    }
    print(json.dumps(report | figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
