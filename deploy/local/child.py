"""A module run as a child process that does not outlive its parent, not even one that was killed with -9.

`python -m deploy.local.child PARENT_PID SIGNAL MODULE [ARG…]` asks the kernel for SIGNAL when the parent dies, then
runs MODULE in the same interpreter. Where there is no such kernel call (macOS), it only runs the module.
"""

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""


def command(module: str, *args: str, when_orphaned: signal.Signals) -> tuple[str, ...]:
    """The command line that runs `module` as a child of this very process. Start it from the main thread."""
    return (sys.executable, "-m", "deploy.local.child", str(os.getpid()), when_orphaned.name, module, *args)


def main(argv: list[str]) -> None:
    """Tie this process to its parent and become the module."""
    parent, name, module, *args = argv
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.Signals[name])
        if os.getppid() != int(parent):  # it died before the kernel knew
            sys.exit(1)
    sys.argv = [module, *args]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
