"""``python -m demo``: the workbench with a model to try it on, on this machine and without an account anywhere.

Starts the built-in model, makes its configuration if there is none, starts the app, and runs until Ctrl+C.
"""

import os
import signal
import sys
import threading
from queue import SimpleQueue

from demo.child import DemoFailed
from settings import InvalidSetting, Settings


def main() -> int:
    stop = threading.Event()
    asked: SimpleQueue[None] = SimpleQueue()  # an Event could deadlock in a signal handler
    # An event and no exception: whatever is under way ends in order, and nobody sees a traceback.
    threading.Thread(target=_stop_when_asked, args=(asked, stop), daemon=True).start()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), lambda *_: asked.put(None))
    from demo.start import run  # takes a second or two; after the lines above, so that Ctrl+C works meanwhile

    try:
        run(Settings.from_environment(os.environ), stop)
    except (DemoFailed, InvalidSetting) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


def _stop_when_asked(asked: "SimpleQueue[None]", stop: threading.Event) -> None:
    asked.get()
    stop.set()
    sys.stdout.write("Stopping …\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
