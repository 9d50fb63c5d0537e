"""A program of others without torch, which starts at once; it runs in a guest's process only."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


class Plain:
    def __init__(self, greeting="hello", fail=""):
        if fail == "package":
            import a_package_that_nobody_has  # noqa: F401
        if fail == "error":
            raise RuntimeError("the weights are of another model")
        if fail == "exit":
            sys.stderr.write("no licence file was found\n")
            sys.stderr.flush()
            os._exit(3)
        self.greeting = greeting
        self.tokenizer = Tokenizer()

    def echo(self, *args, **kwargs):
        return args, kwargs

    def surroundings(self):
        return {
            "env": dict(os.environ), "path": sys.path, "argv": sys.argv, "pid": os.getpid(),
            "group": os.getpgrp(), "modules": sorted(sys.modules), "greeting": self.greeting,
        }  # fmt: skip

    def say(self):
        print("said by print")  # noqa: T201
        os.write(1, b"said by descriptor\n")
        sys.stderr.write("said as error\n")
        return "unharmed"

    def fail(self):
        raise ValueError("what the program says itself")

    def out_of_memory(self):
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")

    def fail_oddly(self, how):
        raise ODD_FAULTS[how]

    def give_object(self):
        return {"parts": [1, object()]}

    def work(self, steps, pause_s=0.01):
        import meshkiln_guest

        for step in range(1, steps + 1):
            meshkiln_guest.report(step, steps)
            time.sleep(pause_s)
        return steps

    def sleep(self, seconds=60.0):
        sys.stderr.write("about to sleep\n")
        sys.stderr.flush()
        time.sleep(seconds)

    def leave_child(self):
        return subprocess.Popen(["sleep", "60"]).pid

    def crash(self):
        os.kill(os.getpid(), signal.SIGSEGV)

    def scribble(self):
        for path in Path("/proc/self/fd").iterdir():
            if path.is_socket():
                os.write(int(path.name), b"what is no frame at all" * 10)
        time.sleep(60)

    def encode(self, text):
        return self.tokenizer.encode(text), self.tokenizer.runs


class Unspeakable(RuntimeError):
    def __str__(self):
        raise AttributeError


ODD_FAULTS = {
    "unspeakable": Unspeakable(),
    "not an Exception": asyncio.CancelledError("given up"),
    "half a character": ValueError("a\udcffb"),
    "exit": SystemExit({"code": 3}),
    "a name that is no text": ImportError("no such thing", name=object()),
}


class Tokenizer:
    def __init__(self):
        self.runs = 0

    def encode(self, text):
        self.runs += 1
        return text.upper()
