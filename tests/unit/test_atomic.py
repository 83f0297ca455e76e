"""Files appear complete or not at all."""

import pytest

from tunesmith._atomic import atomic_write, rename_exclusive, temporary_path, write_atomic


@pytest.mark.parametrize("content", ["Größe", "Größe".encode()])
def test_a_file_is_replaced_as_a_whole(tmp_path, content):
    path = tmp_path / "a.txt"
    path.write_text("old")

    write_atomic(path, content)

    assert path.read_bytes() == "Größe".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_keeps_the_old_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail_halfway():
        with atomic_write(path) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_halfway()

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_names_the_file_and_not_its_temporary_file(tmp_path):
    path = tmp_path / "missing" / "a.txt"

    with pytest.raises(FileNotFoundError) as caught:
        write_atomic(path, "text")

    assert caught.value.filename == str(path)


def test_a_link_is_written_through(tmp_path):
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)

    write_atomic(link, "new")

    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_long_name_has_a_temporary_file_too(tmp_path):
    path = tmp_path / ("ä" * 120)

    write_atomic(path, "text")

    assert path.read_text() == "text"
    assert temporary_path(path) != temporary_path(path)


@pytest.mark.parametrize("links", [True, False])
def test_a_rename_can_refuse_to_replace(tmp_path, monkeypatch, links):
    def refuse(*_):
        raise PermissionError

    if not links:
        monkeypatch.setattr("os.link", refuse)
    part, path = tmp_path / "part", tmp_path / "a.txt"
    part.write_text("new")

    rename_exclusive(part, path)

    assert path.read_text() == "new"
    assert not part.exists()


def test_a_taken_name_is_an_error_of_an_exclusive_rename(tmp_path):
    part, path = tmp_path / "part", tmp_path / "a.txt"
    part.write_text("new")
    path.write_text("theirs")

    with pytest.raises(FileExistsError):
        rename_exclusive(part, path)
    assert path.read_text() == "theirs"
