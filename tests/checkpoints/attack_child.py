"""Opens every attack in one process of its own that watches itself, and prints what happened as JSON.

Run as ``python attack_child.py FOLDER``; the folder becomes the working directory.
"""

import json
import os
import sys
import time
from pathlib import Path

import checkpoint_attacks as attacks
import toys

from studio.checkpoints.loader import load_file
from studio.errors import StudioError

FORBIDDEN = (
    *("exec", "compile", "import", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "subprocess.Popen"),
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "pickle.find_class", "marshal.loads", "ctypes.dlopen"),
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "shutil.rmtree", "tempfile.mkstemp"),
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND


class Watch:
    """Records forbidden events while it is armed."""

    def __init__(self):
        self.armed, self.events = False, []
        sys.addaudithook(self.hear)

    def hear(self, event, arguments):
        if not self.armed:
            return
        if event in FORBIDDEN or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING):
            self.events.append(f"{event} {arguments!r}"[:200])


def high_water():
    """Peak of resident memory since the last reset, in bytes; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def reset_high_water():
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def judge(path, watch):
    reset_high_water()
    before, started = high_water(), time.process_time()
    watch.events, watch.armed = [], True
    try:
        load_file(path)
        error, sentence = "", ""
    except BaseException as caught:
        error, sentence = type(caught).__name__, str(caught)
        if not isinstance(caught, StudioError):
            error = f"escaped: {error}"
    watch.armed = False
    return {
        "error": error,
        "sentence": sentence,
        "seconds": time.process_time() - started,
        "megabytes": (high_water() - before - path.stat().st_size) / 2**20,
        "events": watch.events,
    }


def main():
    folder = Path(sys.argv[1])
    os.chdir(folder)
    paths = {}
    for item in attacks.ATTACKS:
        paths[item.title] = folder / f"{item.title}.pkl"
        paths[item.title].write_bytes(item.make())
    warm = toys.save_toy(folder, "warm")
    load_file(warm)
    watch = Watch()
    results = {title: judge(path, watch) for title, path in paths.items()}
    results["left over"] = sorted({path.name for path in folder.iterdir()} - {path.name for path in paths.values()} - {warm.name})
    results["modules"] = sorted({name.split(".")[0] for name in sys.modules} & {"dnnlib", "torch_utils", "training", "legacy"})
    sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main()
