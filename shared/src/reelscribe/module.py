"""`python -m` without the current folder, which Python would look into before its own library. A script, for whoever starts us:

    python module.py reelscribe.cli [ARGUMENT…]

The current folder may be somebody else's movie directory, and hold an argparse.py. (-P does that from Python 3.11 on; -I, before that,
leaves out PYTHONPATH as well.)
"""

import sys

if __name__ == "__main__":
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]  # this script's own folder, whose modules could hide others
    import runpy

    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
