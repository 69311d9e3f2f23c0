"""The process that `cage.Cage` runs: does what a line of JSON asks, and answers what it cost.

It may write into the folder that it is given, and nowhere else.
"""

import json
import os
import resource
import sys
import time
import traceback
import warnings
from functools import partial
from pathlib import Path

HOME = Path(sys.argv[1]).resolve()
SPARE = 2**32
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
EVENTS = {
    "os.mkdir": 1,
    "os.remove": 1,
    "os.rename": 2,
    "os.rmdir": 1,
    "os.link": 2,
    "os.symlink": 2,
    "os.truncate": 1,
    "os.chmod": 1,
}
RUN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect")

outside = []


def is_outside(path):
    if not isinstance(path, str | bytes | os.PathLike):
        return False
    place = str(Path(os.fsdecode(path)).absolute())
    return not place.startswith((f"{HOME}{os.sep}", "/proc/self/", "/dev/null")) and place != str(
        HOME
    )


def watch(event, args):
    if event == "open":
        path, mode, flags = args
        writes = any(c in (mode or "") for c in "wax+") or (flags or 0) & WRITES
        if writes and is_outside(path):
            outside.append(f"{event} {path}")
    elif event in EVENTS:
        outside.extend(f"{event} {a}" for a in args[: EVENTS[event]] if is_outside(a))
    elif event in RUN:
        outside.append(event)


def memory(key):
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{key}:")[2].split()[0]) * 1024


def convert(path, options):
    from zoo.models.convert import convert

    convert(path, HOME / "out", **({"side": 8} if "score" in path else {}), **options)


def load_and_sample(path, options):
    import zoo

    model = zoo.load(path, format_options=options or None)
    assert len(model.sample(2, steps=3, seed=0)) == 2


def resume(path, _):
    from tiny_recipe import POINTS, VECTORS

    import zoo

    model = zoo.train(VECTORS, data=POINTS, folder=path, resume=True, progress=False)
    assert model.config.training.outcome.steps == 6


def average(path, _):
    import zoo

    zoo.ema(path, 0.08)


def refer(ref, _):
    import zoo
    from zoo.errors import ZooError
    from zoo.models.locate import verify
    from zoo.models.names import folder_hint, name_of

    assert isinstance(folder_hint(ref), str)
    told = []
    for call in (name_of, partial(zoo.pull, local_files_only=True), verify):
        try:
            call(ref)
        except ZooError as error:
            told.append(str(error))
    assert all(len(each) <= 500 and each.isprintable() for each in told), told
    zoo.load(ref, local_files_only=True)


TASKS = {
    "convert": convert,
    "sample": load_and_sample,
    "resume": resume,
    "ema": average,
    "ref": refer,
}


def answer(task, path, options):
    from zoo.errors import ZooError

    outside.clear()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, start = memory("VmRSS"), time.process_time()
    error = kind = trace = ""
    told = True
    try:
        TASKS[task](path, options)
    except BaseException as failure:
        kind, told = type(failure).__name__, isinstance(failure, ZooError)
        try:
            error = str(failure)
        except BaseException:
            error = "cannot be printed"
        trace = traceback.format_exc()[-2000:]
    return {
        "kind": kind,
        "told": told,
        "error": error,
        "trace": trace,
        "seconds": time.process_time() - start,
        "memory": memory("VmHWM") - before,
        "outside": [*outside],
    }


def main():
    import torch

    import zoo.models.convert
    import zoo.models.load  # noqa: F401

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (memory("VmSize") + SPARE,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.addaudithook(watch)
    for line in sys.stdin:
        replies.write(json.dumps(answer(*json.loads(line))) + "\n")


main()
