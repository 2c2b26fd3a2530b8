"""Where a model says that its weights are: links, pipes, devices, other people's files, odd names.

`place` puts a model and the files around it into a folder, whose parent holds files that no model
may read or change.
"""

from __future__ import annotations

import os
import random
from contextlib import suppress
from pathlib import Path
from typing import Final

import onnx

from tests.fuzz import mutations

SECRET: Final = b"secret" * 100_000  # as long as any weight of a seed
LOCATIONS: Final = (
    "w.bin",
    "./w.bin",
    "w.bin/",
    "../secret.bin",
    "sub/../../secret.bin",
    "/etc/passwd",
    "//etc/passwd",
    "link.bin",
    "folder-link/secret.bin",
    "sub/w.bin",
    "pipe",
    "sub",
    "dangling",
    "loop",
    "zero",
    "..",
    ".",
    "",
    "..\\secret.bin",
    "w.bin\n",
    "a\0b",
    "C:\\secret.bin",
    "file:///etc/passwd",
    "~/x",
    "$HOME",
    "w" * 300,
    "/".join(["d"] * 3000),
    "m.onnx",
    "\udce4",
)
_NUMBERS: Final = ("0", "1", "-1", "4096", str(2**63), str(10**30), "x", "", " 3", "0x10", "1e3")


def place(folder: Path, rng: random.Random) -> Path:
    """Write a model with external data, and the things that it may point at, into `folder`."""
    _surroundings(folder, rng)
    model = mutations.seed_model(rng.choice(list(mutations.SEEDS)))
    chosen = list(model.graph.initializer)
    rng.shuffle(chosen)
    for tensor in chosen[: rng.choice((1, 2, 9))]:
        _make_external(tensor, rng)
    if rng.random() < 0.2:
        mutations.mutate_structure(model, rng)
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def _make_external(tensor: onnx.TensorProto, rng: random.Random) -> None:
    size = len(tensor.raw_data)
    location = rng.choice(LOCATIONS) if rng.random() < 0.7 else "w.bin"
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entries = {"location": location.encode("utf-8", "replace").decode(), "offset": "0"}
    entries["length"] = str(size)
    odd = rng.random()
    if odd < 0.3:
        entries[rng.choice(("offset", "length"))] = rng.choice(_NUMBERS)
    elif odd < 0.4:
        del entries[rng.choice(list(entries))]
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
        if rng.random() < 0.05:
            tensor.external_data.add(key=key, value=rng.choice(_NUMBERS))


def _surroundings(folder: Path, rng: random.Random) -> None:
    """What LOCATIONS name; the data file has the length that is due, or not."""
    (folder / "sub").mkdir()
    length = rng.choice((0, 100, 100_000, 100_000, 100_000))
    (folder / "w.bin").write_bytes(rng.randbytes(length))
    (folder / "sub" / "w.bin").write_bytes(bytes(100_000))
    for name, target in (
        ("link.bin", folder.parent / "secret.bin"),
        ("folder-link", folder.parent),
        ("dangling", folder / "gone"),
        ("loop", folder / "loop"),
        ("zero", Path("/dev/zero")),
    ):
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe")


def clear(folder: Path) -> None:
    """Remove what `place` and a run left in a folder; links are not followed."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            clear(Path(entry.path))
            Path(entry.path).rmdir()
        else:
            with suppress(FileNotFoundError):
                Path(entry.path).unlink()
