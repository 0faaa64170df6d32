"""What a process finds that stands for a container: only the image's modules, and a read-only root file system.

Python runs this first in every process that has this directory on its path. CONTAINER names a JSON file:
`{"absent": [modules that the image has not], "unknown": [distributions], "writable": [directories]}`.
"""

import errno
import json
import os
import sys
from pathlib import Path

try:
    KNOWN = json.loads(Path(os.environ["CONTAINER"]).read_text())
except Exception as error:  # noqa: BLE001 - Python would go on without what this file is for
    sys.exit(f"no container to stand for: {error}")
ABSENT, UNKNOWN = frozenset(KNOWN["absent"]), frozenset(KNOWN["unknown"])
WRITABLE = tuple(os.path.realpath(directory) + os.sep for directory in [*KNOWN["writable"], "/dev", "/proc"])
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = frozenset(
    {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.utime"}
)


class Image:
    """Finds what the usual finders find, but for the modules that the image has not, wherever they lie here."""

    def __init__(self, finders):
        self.finders = finders

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            return None
        specs = (finder.find_spec(name, path, target) for finder in self.finders)
        return next((spec for spec in specs if spec is not None), None)

    def find_distributions(self, *arguments):
        for finder in self.finders:
            found = getattr(finder, "find_distributions", lambda *_: ())(*arguments)
            yield from (one for one in found if one.name and one.name.lower().replace("_", "-") not in UNKNOWN)

    def invalidate_caches(self):
        for finder in self.finders:
            getattr(finder, "invalidate_caches", lambda: None)()


def refuse(event, arguments):
    """Refuse to write outside the volumes, as the kernel would."""
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, int) or not flags & WRITING:
            return
        refuse_path(path)
    elif event in CHANGES:
        refuse_path(arguments[0])


def refuse_path(path):
    """Raise what a read-only file system raises."""
    place = os.path.realpath(os.fsdecode(path)) + os.sep
    if not place.startswith(WRITABLE):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fsdecode(path))


sys.meta_path[:] = [Image(list(sys.meta_path))]
sys.addaudithook(refuse)
