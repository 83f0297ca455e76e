"""Libraries that fine-tune through the API, against `tunesmith serve`.

    python tuners.py dspy
    python tuners.py llama-index

The last line is the id of the job and the answers of its model, as JSON.
"""

import importlib.util
import json
import os
import sys
import time
import types
from pathlib import Path

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise it is downloaded
os.environ["OPENAI_API_BASE"] = os.environ["OPENAI_BASE_URL"]  # of llama-index's models

ROWS = [
    {"messages": [{"role": "user", "content": f"{n}"}, {"role": "assistant", "content": "yes"}]}
    for n in range(20)
]


def run_dspy():
    import dspy
    from dspy.clients.openai import OpenAIProvider

    OpenAIProvider.wait_for_job.__defaults__ = (0.1,)  # polls every 20 s otherwise
    dspy.settings.experimental = True
    model = dspy.LM("openai/gpt-4o-mini", temperature=0, max_tokens=8, cache=False)
    options = {"n_epochs": 12, "learning_rate_multiplier": 20}
    job = model.finetune(ROWS, "chat", train_kwargs=options)
    answers = job.result()("7")
    return [job.provider_job_id, *answers]


def run_llama_index():
    # The package imports torch for its other engines.
    package = types.ModuleType("llama_index.finetuning")
    package.__path__ = importlib.util.find_spec("llama_index.finetuning").submodule_search_locations
    sys.modules["llama_index.finetuning"] = package
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.llms import ChatMessage
    from llama_index.finetuning.callbacks import OpenAIFineTuningHandler
    from llama_index.finetuning.openai import OpenAIFinetuneEngine
    from llama_index.llms.openai import OpenAI

    handler = OpenAIFineTuningHandler()
    teacher = OpenAI("gpt-4o-mini", max_tokens=2, callback_manager=CallbackManager([handler]))
    for n in range(10):
        teacher.chat([ChatMessage(role="user", content=f"{n}")])
    # Its validation of the file downloads a tokenizer.
    engine = OpenAIFinetuneEngine.from_finetuning_handler(
        handler, "gpt-4o-mini", "taught.jsonl", validate_json=False
    )
    taught = [json.loads(line) for line in Path("taught.jsonl").read_text().splitlines()]
    assert [len(row["messages"]) for row in taught] == [2] * 10
    engine.finetune()
    while engine.get_current_job().status not in ("succeeded", "failed"):
        time.sleep(0.1)
    tuned = engine.get_finetuned_model(temperature=0, max_tokens=8)
    whole = tuned.complete("7").text
    streamed = "".join(chunk.delta for chunk in tuned.stream_complete("7"))
    assert streamed == whole
    return [engine.get_current_job().id, tuned.model]


if __name__ == "__main__":
    result = {"dspy": run_dspy, "llama-index": run_llama_index}[sys.argv[1]]()
    sys.stdout.write("\n" + json.dumps(result))
