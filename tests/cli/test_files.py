"""What is checked before files are written, and that they are complete or not there."""

import errno
import os

import pytest

from gradlite.cli.files import OutputError, check_output, replacing, write_text


def test_only_a_new_file_in_a_folder_that_is_there_is_written(tmp_path):
    taken = tmp_path / "taken.csv"
    taken.write_text("mine")
    check_output(str(tmp_path / "new.csv"))
    check_output(str(taken), force=True)
    for path, words in [
        (taken, "exists already: --force replaces it"),
        (tmp_path, "is a folder: give the name of a file in it"),
        (tmp_path / "no" / "x", "there is no folder"),
    ]:
        with pytest.raises(OutputError, match=words):
            check_output(str(path))


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(OutputError, match="no permission to write in the folder"):
        check_output(str(tmp_path / "new.csv"))


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    path = str(tmp_path / "note.txt")
    with pytest.raises(OSError, match="No space left") as caught:
        write_text(path, "hello")
    assert caught.value.filename == os.path.realpath(path)
    assert os.listdir(tmp_path) == []


def test_what_fails_half_way_leaves_the_older_file(tmp_path):
    path = tmp_path / "note.txt"
    write_text(str(path), "the first\n")
    with pytest.raises(TypeError), replacing(str(path)) as file:
        file.writelines(["half of the second", None])
    assert path.read_bytes() == b"the first\n"
    assert os.listdir(tmp_path) == ["note.txt"]
