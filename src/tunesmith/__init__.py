"""An asynchronous SDK for the fine-tuning lifecycle of GPT models and for batch jobs.

```python
import tunesmith


async def main() -> None:
    async with tunesmith.AsyncClient() as client:
        file = await client.files.upload("train.jsonl", purpose="fine-tune")
        job = await client.fine_tuning.jobs.create(model="davinci-002", training_file=file.id)
        async for event in client.fine_tuning.jobs.follow(job):
            print(event.message)
```
"""

from tunesmith import errors as errors
from tunesmith._lazy import attach_stub

__getattr__, __dir__ = attach_stub(__name__)
