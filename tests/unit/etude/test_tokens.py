"""Where a client's token comes from, and which files are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from etude.errors import WrongSetting
from etude.tokens import find_token


def written(place: Path, text: str = "from-file\n", mode: int = 0o600) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    place.chmod(mode)
    return place


def test_the_argument_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    """What is nearer to the call counts."""
    environ = {"ETUDE_TOKEN": "from-environment", "ETUDE_TOKEN_FILE": str(written(tmp_path / "token"))}

    found = [find_token("given", environ), find_token(None, environ), find_token(None, environ | {"ETUDE_TOKEN": ""})]

    assert found == ["given", "from-environment", "from-file"]


def test_the_usual_file_serves_where_it_is(tmp_path: Path) -> None:
    """Nobody has to set anything; without a file there is no token, and that is no error."""
    written(tmp_path / "etude" / "token")

    assert find_token(None, {"XDG_CONFIG_HOME": str(tmp_path)}) == "from-file"
    assert find_token(None, {"XDG_CONFIG_HOME": str(tmp_path / "elsewhere")}) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_open_is_refused_with_what_to_do(tmp_path: Path, mode: int) -> None:
    """A token that everybody on the machine can read is not used silently."""
    file = written(tmp_path / "token", mode=mode)

    with pytest.raises(WrongSetting, match=rf"mode {mode:04o}.*chmod 600 {file}"):
        find_token(None, {"ETUDE_TOKEN_FILE": str(file)})


def test_a_file_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    """A mistyped name does not become a client without a token."""
    with pytest.raises(WrongSetting, match=r"absent cannot be read"):
        find_token(None, {"ETUDE_TOKEN_FILE": str(tmp_path / "absent")})


@pytest.mark.parametrize("text", ["", "two words", "naïve"])
def test_a_file_without_exactly_one_token_is_refused(tmp_path: Path, text: str) -> None:
    """What it holds goes into a header: nothing else may."""
    with pytest.raises(WrongSetting, match="one token and nothing else"):
        find_token(None, {"ETUDE_TOKEN_FILE": str(written(tmp_path / "token", text))})
