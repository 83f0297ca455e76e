"""What the journal says of shards: cut, in a batch, over.

```text
{"job": "9f0c…"}                                the job's name in the metadata of its batches
{"shard": 1, "url": …, "model": …, "rows": …}   its file is safe, and a batch will be made of it
{"shard": 1, "batch": "batch_…"}                the batch that the service has made
{"shard": 1, "over": "completed"}               each row has its outcome, or is in another shard
```

A shard that was cut, and has no batch, may have one all the same: the answer to its creation may
be lost. It is found by the metadata of the service's batches.
"""

from collections.abc import Iterable, Mapping
from glob import escape
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from tunesmith.batch.journal import Journal
from tunesmith.batch.output import JobPaths
from tunesmith.batch.results import Usage
from tunesmith.batch.shards import Shard
from tunesmith.datasets.json_types import is_object

__all__ = ["ShardLog", "metadata_of"]


class ShardLog:
    """The shards of a job, as the journal has them.

    Args:
        paths: The files of the job.

    Attributes:
        job: The job's name in the metadata of its batches; None before the first shard.
        shards: Those that are not over, by their numbers.
        next_number: The number of the next one.
    """

    def __init__(self, paths: JobPaths) -> None:
        self._paths = paths
        self.job: str | None = None
        self.shards: dict[int, Shard] = {}
        self.next_number = 1

    @classmethod
    def read(cls, paths: JobPaths) -> "ShardLog":
        """Read a journal without disturbing the run that is at work on it."""
        log = cls(paths)
        with paths.journal.open("rb") as stream:
            for line in stream:
                if line.endswith(b"\n") and (b'"shard"' in line or b'"job"' in line):
                    data: Any = from_json(line)
                    if is_object(data):
                        log.replay([data])
        return log

    def replay(self, notes: Iterable[Mapping[str, Any]]) -> None:
        """Take in lines of the journal."""
        for note in notes:
            match note:
                case {"job": str(job)}:
                    self.job = job
                case {"shard": int(number), "url": str()}:
                    self.shards[number] = self._cut(number, note)
                    self.next_number = max(self.next_number, number + 1)
                case {"shard": int(number), "batch": str(batch_id)}:
                    if number in self.shards:
                        self.shards[number].batch_id = batch_id
                case {"shard": int(number), "over": str()}:
                    self.shards.pop(number, None)
                case _:
                    pass

    def path_of(self, number: int) -> Path:
        """Where the rows of a shard are."""
        output = self._paths.output
        return output.with_suffix(f".shard-{number}.jsonl")

    def _cut(self, number: int, note: Mapping[str, Any]) -> Shard:
        return Shard(
            number=number,
            path=self.path_of(number),
            url=note["url"],
            model=note["model"],
            attempt=note["attempt"],
            rows=note["rows"],
            tokens=note["tokens"],
            reserved=Usage(*note["reserved"]),
            created_at=note["created_at"],
        )

    def start_job(self, journal: Journal, job: str) -> None:
        """Write the job's name."""
        self.job = job
        journal.append({"job": job})

    def add(self, journal: Journal, shard: Shard) -> None:
        """Write that a batch will be made of a shard."""
        self.shards[shard.number] = shard
        journal.append(
            {
                "shard": shard.number,
                "url": shard.url,
                "model": shard.model,
                "attempt": shard.attempt,
                "rows": shard.rows,
                "tokens": shard.tokens,
                "reserved": [shard.reserved.prompt, shard.reserved.completion],
                "created_at": shard.created_at,
            }
        )

    def set_batch(self, journal: Journal, shard: Shard, batch_id: str) -> None:
        """Write which batch was made of a shard."""
        shard.batch_id = batch_id
        journal.append({"shard": shard.number, "batch": batch_id})

    def finish(self, journal: Journal, shard: Shard, how: str) -> None:
        """Write that nothing more is to be learned of a shard."""
        journal.append({"shard": shard.number, "over": how})
        self.shards.pop(shard.number, None)

    def remove_stale_files(self) -> None:
        """Remove the files of shards that are over, or were never whole."""
        pattern = f"{escape(self._paths.output.stem)}.shard-[0-9]*.jsonl"
        wanted = {shard.path for shard in self.shards.values()}
        for path in self._paths.output.parent.glob(pattern):
            if path not in wanted:
                path.unlink(missing_ok=True)


def metadata_of(job: str, shard: Shard) -> dict[str, str]:
    """The metadata that a batch is found by when the answer to its creation is lost."""
    return {"tunesmith_job": job, "tunesmith_shard": str(shard.number)}
