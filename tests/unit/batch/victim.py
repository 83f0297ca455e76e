"""A job in a process of its own, to be killed: `python victim.py FOLDER LOOP ROWS LATENCY_S`.

Its service writes down what is paid, so that this is known whatever becomes of the job.
"""

import json
import os
import sys
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio

from tunesmith import AsyncClient
from tunesmith.batch import BatchJob
from tunesmith.protocol.message import Response

CONCURRENCY = 20


class PayingService:
    def __init__(self, folder, latency_s):
        self.latency_s = latency_s
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.paid = os.open(folder / "paid.txt", flags)

    @asynccontextmanager
    async def send(self, request):
        prompt = json.loads(request.body)["prompt"]
        os.write(self.paid, f"{prompt}\n".encode())
        await anyio.sleep(self.latency_s)
        body = json.dumps({"choices": [{"index": 0, "text": prompt}]}).encode()
        yield Response(200, {}, chunks(body))

    async def aclose(self):
        os.close(self.paid)


async def chunks(body):
    yield body


async def main(folder, rows, latency_s):
    async with AsyncClient(backend=PayingService(folder, latency_s)) as client:
        prompts = (f"p{i}" for i in range(rows))
        options = {"model": "m", "concurrency": CONCURRENCY, "resume": True}
        async with BatchJob(prompts, folder / "answers.jsonl", client=client, **options) as job:
            print("begun", flush=True)
            report = await job.run()
    print(report.to_json())


if __name__ == "__main__":
    folder, loop, rows, latency_s = sys.argv[1:]
    anyio.run(partial(main, Path(folder), int(rows), float(latency_s)), backend=loop)
