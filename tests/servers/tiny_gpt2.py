"""Make a tiny GPT-2 and its tokenizer, trained for seconds on two sentences: no download.

Run it as `python tiny_gpt2.py FOLDER`.
"""

import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

SENTENCES = [
    "Several concepts are a priori such as space, time, substance and causality.",
    "Reason without experience is empty; experience without reason is blind.",
]
END = "<|endoftext|>"
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}assistant:"
)


def make_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=END,
        chat_template=CHAT_TEMPLATE,
    )


def make_model(tokenizer: PreTrainedTokenizerFast, steps: int = 400) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    end = tokenizer.eos_token_id
    size = {"n_positions": 128, "n_embd": 32, "n_layer": 2, "n_head": 2}
    ids = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **size, **ids))
    batches = [tokenizer(f"{text}\n", return_tensors="pt").input_ids for text in SENTENCES]
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(steps):
        loss = sum(model(input_ids=batch, labels=batch).loss for batch in batches)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


if __name__ == "__main__":
    folder = sys.argv[1]
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    make_model(tokenizer).save_pretrained(folder)
