"""Where an embedded store may lie: on a disk of this machine, not on a file system that machines share.

SQLite keeps writers apart by locks of the file system, and its write-ahead log by memory that processes of one machine
share (sqlite.org/wal.html, sqlite.org/howtocorrupt.html section 2). Over a network locks of two machines may not see
one another, and then the file is damaged without an error.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from search_spaces.problems import InvalidSpec

SHARED_KINDS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "mmfs", "beegfs", "ceph"}) | {
    "glusterfs", "afs", "pvfs2", "orangefs", "panfs", "wekafs", "ocfs2", "gfs2",
}  # fmt: skip
"""Types of file systems, as Linux names them, that several machines write to."""
IN_USER_SPACE = re.compile(
    r"fuse\.(sshfs|glusterfs|ceph|juicefs|s3fs|rclone|gcsfuse|mfs|seaweedfs|davfs2|beegfs|lustre|moosefs|alluxio).*"
)
"""The same of those that run as programs."""
ALLOWED = "ETUDE_SQLITE_ON_NETWORK"
MOUNTS = Path("/proc/self/mounts")
_ESCAPED = re.compile(r"\\([0-7]{3})")


def refuse_shared(file: Path, *, mounts: Path = MOUNTS) -> None:
    """Look on what kind of file system an embedded store would lie.

    ETUDE_SQLITE_ON_NETWORK=1 lets it lie there all the same: then every process that opens it has to be on one
    machine, ever, or it is lost one day.

    Raises:
        InvalidSpec: on one that machines share; the text says what to do instead.
    """
    if os.environ.get(ALLOWED) == "1":
        return
    kind = kind_of(file, mounts)
    if kind is not None and (kind in SHARED_KINDS or IN_USER_SPACE.fullmatch(kind)):
        raise InvalidSpec(
            f"{file} lies on a network file system ({kind}), where the locks of an SQLite file do not hold between"
            " machines: set ETUDE_DATA_DIR to a local disk, or ETUDE_DATABASE_URL to a PostgreSQL; machines that share"
            f" a directory run `etude up --shared DIR`. ({ALLOWED}=1 if one machine alone ever opens it, at your risk)",
            field="ETUDE_DATABASE_URL",
        )


def kind_of(file: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the type of the file system that `file` lies on, or will; None where the system does not tell."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place, kind = Path(os.path.realpath(file)), None
    longest = -1
    for line in lines:
        words = line.split()
        if len(words) < 3:
            continue
        mounted = Path(_ESCAPED.sub(lambda found: chr(int(found[1], 8)), words[1]))
        # Of two mounts on one place the later one is seen.
        if place.is_relative_to(mounted) and len(mounted.parts) >= longest:
            longest, kind = len(mounted.parts), words[2]
    return kind
