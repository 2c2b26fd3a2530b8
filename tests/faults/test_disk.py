"""A disk that is full, or can't be written any more: caused for real, nothing lost, said clearly."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from normonnx.core.errors import UsageError
from normonnx.graph import files
from tests.faults.faulty import arrays, contents, scripted, started, written


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB of its own."""
    mount = shutil.which("mount")
    place = tmp_path / "disk"
    place.mkdir()
    if mount is None or os.geteuid():
        pytest.skip("only root may mount a disk")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no disk can be mounted here: {made.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)  # noqa: S607


@pytest.mark.parametrize("external", [False, True], ids=["embedded", "external"])
def test_a_full_disk(disk: Path, tmp_path: Path, *, external: bool) -> None:
    """One line that says so, exit code 2; the old model and its data are as they were."""
    small = tmp_path / "small.onnx"
    source = written(tmp_path, external=external)
    files.save(files.load(source), small)
    out = disk / "out.onnx"
    out.write_bytes(b"what was there before")
    (disk / "out.onnx.data").write_bytes(b"and its data")
    before = contents(disk)
    with started(["optimize", source, "-o", out, "--verify", "none"]) as ran:
        said, failed = ran.communicate(timeout=60)
    assert ran.returncode == 2, failed
    assert "No space left on device; nothing was changed" in failed
    assert (said, failed.count("\n")) == ("", 1)
    assert contents(disk) == before


def test_a_disk_that_is_read_only(disk: Path, tmp_path: Path) -> None:
    """Said before any work is done."""
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)  # noqa: S607
    source = written(tmp_path, external=True)
    with pytest.raises(UsageError, match="no permission to write in"):
        files.save(files.load(source), disk / "out.onnx")


_SAVING = """
import os, sys
from normonnx.graph import files, new_files
from normonnx.core.errors import NormonnxError
model = files.load(sys.argv[1])
os.setgid(65534)
os.setuid(65534)
stream = new_files.NewFile.stream
def stopped(file, tensor):
    stream(file, tensor)
    print("in the middle", flush=True)
    sys.stdin.readline()
new_files.NewFile.stream = stopped
try:
    files.save(model, sys.argv[2])
except NormonnxError as error:
    print(error)
"""


def test_permission_lost_while_it_is_written(tmp_path: Path) -> None:
    """The folder may not be written any more when the files are to be put in place."""
    if os.geteuid():
        pytest.skip("only root may become another user")
    for parent in (tmp_path, *tmp_path.parents):
        if not parent.stat().st_mode & 0o001:
            parent.chmod(0o755)
    source = written(tmp_path, external=True)
    folder = tmp_path / "out"
    folder.mkdir()
    files.save(files.load(source), folder / "out.onnx")
    for each in (folder, *folder.iterdir()):
        os.chown(each, 65534, 65534)
    before = contents(folder)
    with scripted(_SAVING, source, folder / "out.onnx") as saving:
        assert saving.stdout is not None
        assert saving.stdin is not None
        assert saving.stdout.readline() == "in the middle\n", saving.communicate()
        folder.chmod(0o555)
        said, _ = saving.communicate("\n\n\n\n\n", timeout=60)
    assert "Permission denied; nothing was changed" in said
    after = contents(folder)
    assert {name: after[name] for name in before} == before
    assert arrays(folder / "out.onnx") == arrays(source)
