"""Saving trees of arrays and plain values in one file, without pickle.

A file holds a manifest in JSON (what the tree is, and the type, shape and SHA-256 of each array)
and the bytes of the arrays. Loading makes arrays, numbers, strings and containers, and runs
nothing. Two formats carry this: a zip without compression, and safetensors.

Examples
--------
>>> import os, tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     path = os.path.join(folder, "state")
...     save(path, {"step": 3, "w": np.array([1.0, 2.0])}, kind="example")
...     load(path, kind="example")
{'step': 3, 'w': array([1., 2.])}
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import secrets
import stat
import struct
import sys
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from gradlite.errors import FolderError, MissingExtraError, PersistError
from gradlite.packing import DTYPES, Packer, bytes_of, unpacked

Path = str | os.PathLike[str]

VERSION = 1
CHUNK = 2**20
MANIFEST = "manifest.json"
SEAL = b"gradlite, sha256 of all before: "  # the comment of the zip, followed by 64 digits
SEAL_LENGTH = len(SEAL) + 64
FOREIGN = "is not a file that gradlite has saved."
MALFORMED = (  # what Python and NumPy say of bytes and JSON that make no sense
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)


def save(path: Path, state: Any, kind: str) -> None:
    """Save a tree in one file, which replaces an older one only when it is complete.

    Parameters
    ----------
    path : path
        Ending in ``.safetensors`` for that format, which needs the package; otherwise a zip is
        written. Symbolic links are followed, and an older file's permissions are kept.
    state : tree
        Dicts with str keys, lists and tuples of None, bool, int, float, str, NumPy scalars and
        arrays: of bools, numbers, strings of fixed width, times, or objects that are None, bool,
        int, float or str.
    kind : str
        What it is the state of; `load` asks for it.

    Raises
    ------
    TypeError
        If something in the tree cannot be saved; it says where. Nothing has been written then.
    FolderError
        If the folder does not exist.
    MissingExtraError
        If the package safetensors is needed and missing.
    """
    name = os.fsdecode(path)
    packed = Packer()
    tree = packed.pack(state, ())
    body = {
        "format": "gradlite",
        "version": VERSION,
        "gradlite": sys.modules["gradlite"].__version__,
        "kind": kind,
        "arrays": packed.entries,
        "tree": tree,
    }
    if name.endswith(".safetensors"):
        _safetensors()  # or say that it is missing
        _name_by_place(packed)
        write = _write_safetensors
    else:
        write = _write_zip
    manifest = _seal(body)
    with replacing_file(os.path.realpath(name)) as file:
        write(file, manifest, packed)


def load(path: Path, kind: str | None = None) -> Any:
    """Load a tree that `save` has written.

    Parameters
    ----------
    path : path
        The file; its format shows in what it holds.
    kind : str, optional
        What it must be the state of.

    Returns
    -------
    tree
        As it was saved, to the bit. Arrays are C-contiguous, writeable and in native byte order.

    Raises
    ------
    PersistError
        If the file is not one that `save` wrote, is truncated or altered, comes from a newer
        gradlite, or is of another kind.
    MissingExtraError
        If the package safetensors is needed and missing.
    """
    name = os.fsdecode(path)
    with open(name, "rb") as file:
        start = file.read(9)
        try:
            if start.startswith(b"PK"):
                return _load_zip(file, kind)
            if start[8:] == b"{":
                return _load_safetensors(name, kind)
            raise PersistError(FOREIGN)
        except PersistError as error:
            raise PersistError(f"{name} {error}") from error.__cause__
        except MALFORMED as error:
            raise PersistError(f"{name} is damaged or made to mislead: {error!r}.") from error


# -- manifests and arrays --------------------------------------------------------------------


def _dumps(value: Any) -> str:
    """Write JSON in the one way in which it is written here."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _seal(body: dict[str, Any]) -> str:
    """Give the manifest: what it says, after the SHA-256 of that."""
    digest = hashlib.sha256(_dumps(body).encode()).hexdigest()
    return _dumps({"sha256": digest, **body})


def _open(text: str, kind: str | None) -> dict[str, Any]:
    """Read and check a manifest."""
    body = json.loads(text)
    if not isinstance(body, dict) or body.get("format") != "gradlite":
        raise PersistError(FOREIGN)
    if not isinstance(body["version"], int) or body["version"] > VERSION:
        raise PersistError(
            f"has format version {body['version']!r}, written by gradlite {body['gradlite']!r}; "
            f"this gradlite reads up to {VERSION}: upgrade it, pip install -U gradlite."
        )
    body.pop("sha256")
    if _seal(body) != text:
        raise PersistError("is altered: its manifest does not have the SHA-256 that it says.")
    if kind is not None and body["kind"] != kind:
        raise PersistError(f"holds a {body['kind']}, not a {kind}.")
    return body


def _checked(entry: dict[str, Any], size: int) -> np.dtype[Any]:
    """Check what a manifest tells of an array of `size` bytes, and give its dtype."""
    text, shape = entry["dtype"], entry["shape"]
    dtype = np.dtype(text) if DTYPES.fullmatch(text) else np.dtype(object)
    if dtype.hasobject or dtype.str != text:
        raise PersistError(f"is damaged: an array of {text!r} and shape {shape}.")
    if not entry["bytes"] == size == math.prod(shape) * dtype.itemsize:
        raise PersistError(
            f"is damaged: {entry['name']} of {text} and shape {shape} has {size} bytes."
        )
    return dtype


def _finished(entry: dict[str, Any], array: np.ndarray) -> np.ndarray:
    """Check the bytes of a loaded array, and give it in native byte order."""
    if hashlib.sha256(bytes_of(array)).hexdigest() != entry["sha256"]:
        raise PersistError(f"is altered: {entry['name']} does not have the SHA-256 that it says.")
    if array.dtype.kind == "U" and array.nbytes and array.reshape(-1).view("<u4").max() > 0x10FFFF:
        raise PersistError(f"is damaged: {entry['name']} has what is no character.")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


# -- the zip ---------------------------------------------------------------------------------


def _write_zip(file: BinaryIO, manifest: str, packed: Packer) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(MANIFEST), manifest)
        for entry, array in zip(packed.entries, packed.arrays, strict=True):
            archive.writestr(zipfile.ZipInfo(entry["name"]), bytes_of(array))
        archive.comment = SEAL + b"0" * 64
    size = file.seek(0, os.SEEK_END)
    digest = _digest(file, size - 64)
    file.seek(size - 64)
    file.write(digest)


def _digest(file: BinaryIO, size: int) -> bytes:
    """Give the SHA-256 of the first `size` bytes of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    file.seek(0)
    while size:
        part = file.read(min(size, CHUNK))
        if not part:
            break
        digest.update(part)
        size -= len(part)
    return digest.hexdigest().encode()


def _load_zip(file: BinaryIO, kind: str | None) -> Any:
    size = file.seek(0, os.SEEK_END)
    file.seek(30)  # the name of the first member follows
    if file.read(len(MANIFEST)) != MANIFEST.encode():
        raise PersistError(FOREIGN)
    file.seek(max(0, size - SEAL_LENGTH))
    seal = file.read()
    # Without this, an altered bit in the headers of the zip would go unnoticed.
    if seal[: len(SEAL)] != SEAL or seal[len(SEAL) :] != _digest(file, size - 64):
        raise PersistError("is truncated or altered: it does not have the SHA-256 that it says.")
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        for member in members:
            if member.compress_type != zipfile.ZIP_STORED:
                raise PersistError(f"has {member.filename!r} compressed, which is not done here.")
        if sum(member.file_size for member in members) > size:
            raise PersistError("is damaged: its members are larger than itself.")
        body = _open(archive.read(MANIFEST).decode(), kind)
        names = [MANIFEST, *(entry["name"] for entry in body["arrays"])]
        due = [MANIFEST, *(f"arrays/{i}" for i in range(len(names) - 1))]
        if not [member.filename for member in members] == names == due:
            raise PersistError("is damaged: its members are not those that its manifest tells of.")
        pairs = zip(body["arrays"], members[1:], strict=True)
        arrays = [_read_member(archive, entry, member) for entry, member in pairs]
    return unpacked(arrays, body["tree"])


def _read_member(
    archive: zipfile.ZipFile, entry: dict[str, Any], member: zipfile.ZipInfo
) -> np.ndarray:
    dtype = _checked(entry, member.file_size)
    array = np.empty(entry["shape"], dtype)
    memory, place = bytes_of(array), 0
    with archive.open(member) as stream:
        while part := stream.read(CHUNK):
            memory[place : place + len(part)] = np.frombuffer(part, np.uint8)
            place += len(part)
    return _finished(entry, array)


# -- safetensors -----------------------------------------------------------------------------


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise MissingExtraError(
            "Files that end in .safetensors need the package safetensors: "
            "pip install 'gradlite[safetensors]'. Another ending needs nothing."
        ) from error
    return safetensors


def _name_by_place(packed: Packer) -> None:
    """Call each array by its place in the tree, ``module.0.weight``, for other readers."""
    taken = {"__metadata__"}
    for number, (entry, place) in enumerate(zip(packed.entries, packed.places, strict=True)):
        name = ".".join(map(str, place)).encode("ascii", "backslashreplace").decode() or "array"
        entry["name"] = f"{name}#{number}" if name in taken else name
        taken.add(entry["name"])


def _native(dtype: np.dtype[Any]) -> bool:
    """Tell whether the format knows a dtype; of other arrays it keeps the bytes."""
    return dtype.kind in "biuf" and dtype.itemsize <= 8


def _write_safetensors(file: BinaryIO, manifest: str, packed: Packer) -> None:
    tensors = {
        entry["name"]: array if _native(array.dtype) else bytes_of(array)
        for entry, array in zip(packed.entries, packed.arrays, strict=True)
    }
    file.write(_safetensors().numpy.save(tensors, {"gradlite": manifest}))


def _load_safetensors(name: str, kind: str | None) -> Any:
    library = _safetensors()
    try:
        with library.safe_open(name, framework="numpy") as file:
            manifest = (file.metadata() or {}).get("gradlite")
            if manifest is None:
                raise PersistError(FOREIGN)
            body = _open(manifest, kind)
            if {entry["name"] for entry in body["arrays"]} != set(file.keys()):
                raise PersistError("is altered: its arrays are not those that its manifest names.")
            arrays = [_read_tensor(file, entry) for entry in body["arrays"]]
    except library.SafetensorError as error:
        raise PersistError(f"is truncated, altered or no safetensors file: {error}") from error
    return unpacked(arrays, body["tree"])


def _read_tensor(file: Any, entry: dict[str, Any]) -> np.ndarray:
    tensor = np.require(file.get_tensor(entry["name"]), requirements=["C", "W"])
    dtype = _checked(entry, tensor.nbytes)
    if _native(dtype):
        if (tensor.dtype, list(tensor.shape)) != (dtype, entry["shape"]):
            raise PersistError(f"is altered: {entry['name']} is not as its manifest says.")
        return _finished(entry, tensor)
    return _finished(entry, tensor.view(dtype).reshape(entry["shape"]))


# -- files -----------------------------------------------------------------------------------


@contextlib.contextmanager
def replacing_file(target: str) -> Iterator[BinaryIO]:
    """Give a new file to write to, which takes the place of `target` when all has gone well."""
    mode = None
    with contextlib.suppress(FileNotFoundError):
        mode = os.stat(target).st_mode
    if mode is not None and stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
    if mode is not None and not stat.S_ISREG(mode):
        raise PersistError(f"{target} is no regular file: save to another path.")
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise FolderError(f"There is no folder {folder!r} to write {target!r} to: make it.")
    temporary = os.path.join(folder, f".gradlite-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "x+b") as file:
            if mode is not None:
                os.chmod(temporary, stat.S_IMODE(mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            error.filename = target  # Python does not say where there is no room
        raise
    with contextlib.suppress(OSError):  # not every system lets a directory be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
