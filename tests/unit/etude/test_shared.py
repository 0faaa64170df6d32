"""A directory that machines share: who may look into it, and how clients and workers find the head there."""

from __future__ import annotations

from pathlib import Path

import pytest

from etude.following import FollowingVerbs
from etude.settings import WrongSetting, default_url, seconds_from
from etude.shared import Head, SharedDirectory, make_private, write_whole
from etude.tokens import find_token
from search_spaces.problems import StoreUnavailable


@pytest.fixture
def shared(tmp_path: Path) -> SharedDirectory:
    made = SharedDirectory(tmp_path / "shared")
    made.make()
    return made


def served(shared: SharedDirectory, generation: int, **said: str | None) -> None:
    """A head has said this of itself."""
    shared.record(generation).parent.mkdir()
    shared.say(Head(generation, "h", "node-1", **said))  # type: ignore[arg-type]


def test_only_its_owner_looks_into_it(shared: SharedDirectory) -> None:
    """It holds tokens: directories are 0700 and files 0600; one that others may read is refused."""
    write_whole(shared.work_token, b"secret")
    modes = {place.stat().st_mode & 0o777 for place in (shared.path, shared.heads, shared.copies)}
    shared.path.chmod(0o750)

    assert modes == {0o700}
    assert shared.work_token.stat().st_mode & 0o777 == 0o600
    with pytest.raises(WrongSetting, match="chmod 700"):
        make_private(shared.path)


def test_a_place_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """In words, with its name."""
    (tmp_path / "file").touch()

    with pytest.raises(WrongSetting, match="cannot be used"):
        SharedDirectory(tmp_path / "file" / "below").make()


def test_commands_find_the_head(shared: SharedDirectory) -> None:
    """ETUDE_SHARED stands for the address of whoever serves now, and for the token; what is said by hand wins."""
    environ = {"ETUDE_SHARED": str(shared.path)}
    write_whole(shared.admin_token, b"etude_first")
    served(shared, 1, url="http://node-1:1")
    served(shared, 2, url="http://node-2:2")

    assert default_url(environ) == "http://node-2:2"
    assert find_token(None, environ) == "etude_first"
    assert default_url(environ | {"ETUDE_URL": "http://other:3"}) == "http://other:3"


@pytest.mark.parametrize("said", [{}, {"url": "http://node-1:1", "ended": "stopped"}])
def test_between_two_heads_nobody_is_found(shared: SharedDirectory, said: dict[str, str]) -> None:
    """Worth trying again: one that starts has no address yet, one that has left serves no more."""
    served(shared, 1, **said)

    with pytest.raises(StoreUnavailable, match="nobody serves"):
        default_url({"ETUDE_SHARED": str(shared.path)})
    with pytest.raises(StoreUnavailable):
        FollowingVerbs(shared).backlog(["any"])


def test_half_a_record_is_nobodys(shared: SharedDirectory) -> None:
    """What a file system shows of a file that was cut off is no head."""
    served(shared, 1)
    shared.record(1).write_text('{"generation": 1, "hol')

    assert shared.head() is None
    assert shared.generation() == 1


def test_nothing_is_left_of_a_file_that_could_not_be_written(shared: SharedDirectory) -> None:
    """Neither its half nor its name, where the directory under its name is in the way."""
    shared.work_token.mkdir()

    with pytest.raises(OSError, match="directory"):
        write_whole(shared.work_token, b"secret")
    assert sorted(place.name for place in shared.path.iterdir()) == ["checkpoints", "copies", "heads", "work-token"]


@pytest.mark.parametrize("text", ["0", "-1", "soon", "inf", "nan"])
def test_a_length_of_time_that_is_none(text: str) -> None:
    """The variable is named."""
    with pytest.raises(WrongSetting, match="ETUDE_TAKEOVER_SECONDS"):
        seconds_from({"ETUDE_TAKEOVER_SECONDS": text}, "ETUDE_TAKEOVER_SECONDS", 30.0)
