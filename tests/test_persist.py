"""Saving and loading: what comes back, what is refused, and what a crash leaves behind."""

import hashlib
import io
import json
import os
import pickle
import signal
import stat
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from gradlite import persist
from gradlite.errors import PersistError
from gradlite.persist import load, save

try:
    import safetensors
except ImportError:
    safetensors = None
needs_safetensors = pytest.mark.skipif(safetensors is None, reason="needs the package safetensors")
ENDINGS = ["gl", pytest.param("safetensors", marks=needs_safetensors)]

DTYPES = "? i1 u1 i2 u2 i4 u4 i8 u8 f2 f4 f8 c8 c16 S3 U3 M8[ns] M8[25us] m8[s] M8 >i4 >f8 >U2"
TREE = {
    "none": None,
    "flags": [True, False],
    "ints": [0, -1, 2**63 - 1, 2**63, -(2**63), -(10**5000)],
    "floats": [0.1, -0.0, 5e-324, 1.7976931348623157e308, float("inf"), -float("inf")],
    "text": 'é\n"\\\ud800\x00🙂',
    "": {"": (), "a.b": [(), [], {}, ((1,), [2])], "a": {"b": np.float32(0.1)}},
    "dict": {"dict": {"tuple": ["array"]}, "__metadata__": np.arange(2)},
    "__metadata__": np.arange(3),
    "weights": np.random.default_rng(0).normal(size=(3, 4)),
    "labels": np.array(["a", 1, 2.5, True, None, float("inf"), 10**30], dtype=object),
    "matrix of objects": np.array([["x", "y"], ["z", None]], dtype=object),
    "no objects": np.empty((0, 3), dtype=object),
    "scalars": [np.float64(0.1), np.int8(-3), np.bool_(True), np.str_("né"), np.float16(1)],
    "times": np.array(["2020-01-01", "NaT"], dtype="M8[D]"),
    "time": np.timedelta64(3, "ms"),
}


def same(a, b):
    """Whether two trees are equal to the last bit and type."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (np.ndarray, np.generic)):
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            return False
        if a.dtype == object:
            return same(a.ravel().tolist(), b.ravel().tolist())
        return a.tobytes() == b.tobytes()
    return a == b if isinstance(a, int) else repr(a) == repr(b)


def through(path, tree):
    save(path, tree, "test")
    return load(path, "test")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_tree_comes_back_to_the_bit(tmp_path, ending):
    assert same(through(tmp_path / f"f.{ending}", TREE), TREE)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("tree", [None, 3, float("nan"), "x", [], {}, np.arange(3), np.float32(2)])
def test_anything_can_be_at_the_top(tmp_path, ending, tree):
    assert same(through(tmp_path / f"f.{ending}", tree), tree)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("dtype", DTYPES.split())
def test_arrays_of_every_dtype(tmp_path, ending, dtype):
    bits = np.random.default_rng(0).integers(32, 99, (4, 3)).astype("u1" if dtype == "?" else "i8")
    array = (bits % 2 if dtype == "?" else bits).astype(dtype)
    layouts = [array, array.T, array[::2, 1:], array[:0], array[0, 0, None].reshape(())]
    for given, got in zip(layouts, through(tmp_path / f"f.{ending}", layouts), strict=True):
        assert got.dtype == given.dtype.newbyteorder("=")
        assert got.dtype.isnative
        assert got.shape == given.shape
        assert got.tolist() == given.tolist()
        assert got.flags.c_contiguous
        assert got.flags.writeable
        assert got.flags.owndata or got.base is not None


def test_nan_payloads_and_memory_maps(tmp_path):
    nan = np.array([0x7FF8000000001234, 0xFFF0000000000001], np.uint64).view(np.float64)
    np.save(tmp_path / "map.npy", nan)
    mapped = np.load(tmp_path / "map.npy", mmap_mode="r")
    got = through(tmp_path / "f", [nan, mapped])
    assert [x.tobytes() for x in got] == [nan.tobytes()] * 2
    assert type(got[1]) is np.ndarray


@needs_safetensors
def test_safetensors_are_named_by_their_place_and_known_by_their_content(tmp_path):
    from safetensors.numpy import load_file

    path = tmp_path / "f.safetensors"
    save(path, {"fc": {"weight": np.eye(2)}, "fc.weight": np.ones(1), "é": np.array(["x"])}, "k")
    tensors = load_file(path)
    assert sorted(tensors) == ["\\xe9", "fc.weight", "fc.weight#1"]
    np.testing.assert_array_equal(tensors["fc.weight"], np.eye(2))
    os.replace(path, tmp_path / "other")
    assert load(tmp_path / "other")["fc.weight"] == 1


def test_safetensors_missing_names_the_remedy(tmp_path, monkeypatch):
    for name in ("safetensors", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'gradlite\[safetensors\]'"):
        save(tmp_path / "f.safetensors", 1, "k")
    assert os.listdir(tmp_path) == []


class Stranger:
    def __reduce__(self):
        raise AssertionError("pickled")


def loop():
    tree = []
    tree.append(tree)
    return tree


@pytest.mark.parametrize(
    ("tree", "kind", "words"),
    [
        (
            {"optimizer": {"schedule": [0, lambda step: 1]}},
            TypeError,
            r"at \['optimizer'\]\['schedule'\]\[1\]: the function .*<lambda>, which is code,",
        ),
        (Stranger(), TypeError, "at the top: a .*Stranger cannot be saved"),
        ((1, {2}), TypeError, r"at \[1\]: a builtins.set cannot"),
        ({"a": {3: 4}}, TypeError, r"at \['a'\]: the key 3 is no str"),
        ([b"x"], TypeError, "builtins.bytes"),
        ([1j], TypeError, "builtins.complex"),
        (np.array([Stranger()]), TypeError, "Stranger cannot"),
        (np.array([[1], None], dtype=object), TypeError, "a builtins.list in an array"),
        (np.zeros(2, dtype="i4,f8"), TypeError, "an array of .*f1.* cannot be saved"),
        (np.ma.masked_array([1, 2], [0, 1]), TypeError, "MaskedArray"),
        (loop(), ValueError, r"at \[0\]\[0\]\[0\]: nested deeper than 100 levels, or in itself"),
    ],
)
def test_what_cannot_be_saved_says_where_and_writes_nothing(tmp_path, tree, kind, words):
    (tmp_path / "f").write_bytes(b"old")
    with pytest.raises(kind, match=words):
        save(tmp_path / "f", tree, "k")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("f", b"old")]


def test_the_deepest_tree_that_is_saved_is_loaded(tmp_path):
    tree = np.array(["x"], dtype=object)
    for _ in range(25):
        tree = [{"a": (tree, [])}]
    tree = {"b": [[[tree]]]}
    while True:
        try:
            save(tmp_path / "f", tree, "k")
        except ValueError:
            break
        assert same(load(tmp_path / "f"), tree)
        tree = [tree]


def test_missing_files_and_directories_are_what_python_says(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"no folder '.*none' to write '.*none.f' to"):
        save(tmp_path / "none" / "f", 1, "k")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)
    with pytest.raises(IsADirectoryError):
        save(tmp_path, 1, "k")
    assert os.listdir(tmp_path) == []


# -- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
def test_another_kind_and_a_newer_format_say_so(tmp_path, ending, monkeypatch):
    path = tmp_path / f"f.{ending}"
    save(path, 1, "MLPClassifier")
    with pytest.raises(PersistError, match=r"f\..* holds a MLPClassifier, not a MLPRegressor"):
        load(path, "MLPRegressor")
    assert load(path) == 1
    monkeypatch.setattr(persist, "VERSION", 2)
    save(path, 1, "MLPClassifier")
    monkeypatch.setattr(persist, "VERSION", 1)
    with pytest.raises(PersistError, match=r"format version 2, .* upgrade it"):
        load(path, "MLPClassifier")


@pytest.mark.parametrize("ending", ENDINGS)
def test_one_altered_bit_anywhere_is_noticed(tmp_path, ending):
    path = tmp_path / f"f.{ending}"
    tree = {"w": np.arange(6.0).reshape(2, 3), "s": "text", "n": 10**20, "t": (1.5, np.int8(2))}
    save(path, tree, "k")
    whole = path.read_bytes()
    unnoticed = bytearray()
    for place in range(len(whole)):
        altered = bytearray(whole)
        altered[place] ^= 1 << place % 8
        path.write_bytes(altered)
        try:
            assert same(load(path, "k"), tree)
            unnoticed += whole[place : place + 1]
        except PersistError:
            pass
    assert unnoticed.strip(b" ") == b""  # blanks fill up the header of safetensors
    assert ending == "safetensors" or not unnoticed


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_truncation_and_anything_appended_is_noticed(tmp_path, ending):
    path = tmp_path / f"f.{ending}"
    save(path, {"w": np.arange(6.0)}, "k")
    whole = path.read_bytes()
    for damaged in [whole[:end] for end in range(len(whole))] + [whole + b"x", whole + whole]:
        path.write_bytes(damaged)
        with pytest.raises(PersistError):
            load(path, "k")


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        b"hello, world",
        pickle.dumps({"w": 1}),
        npz(w=np.arange(3)),
        npz(w=np.array([Stranger], dtype=object)),
        b"PK\x03\x04" + b"manifest.json" * 20,
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 2**60) + b"{}" + b" " * 100,
    ],
)
def test_other_files_are_refused(tmp_path, content):
    if content[8:9] == b"{" and safetensors is None:
        pytest.skip("needs the package safetensors")
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(PersistError, match="f is "):
        load(tmp_path / "f")


def forged(path, members, compression=zipfile.ZIP_STORED):
    """Write a zip with a valid seal, whatever it holds."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
        archive.comment = persist.SEAL + b"0" * 64
    whole = path.read_bytes()[:-64]
    path.write_bytes(whole + hashlib.sha256(whole).hexdigest().encode())


def manifest(tree, arrays=(), version=1, **more):
    body = {"format": "gradlite", "version": version, "gradlite": "9", "kind": "k"}
    return persist._seal({**body, "arrays": list(arrays), "tree": tree, **more})


EIGHT = bytes(8)


def entry(content=EIGHT, **changes):
    digest = hashlib.sha256(content).hexdigest()
    true = {"name": "arrays/0", "dtype": "<f8", "shape": [1], "bytes": 8, "sha256": digest}
    return {**true, **changes}


def refused(path, words=r"f (is|has) "):
    with pytest.raises(PersistError, match=words):
        load(path, "k")


def test_a_forged_file_that_is_right_in_all_is_loaded(tmp_path):
    text = manifest({"array": 0}, [entry()])
    forged(tmp_path / "f", [("manifest.json", text), ("arrays/0", EIGHT)])
    assert load(tmp_path / "f", "k") == np.zeros(1)


@pytest.mark.parametrize(
    "wrong",
    [
        entry(shape=[10**12], bytes=8 * 10**12),
        entry(shape=[10**12]),
        entry(shape=[2], bytes=16),
        entry(shape=[-1]),
        entry(shape=[-1, -1]),
        entry(shape=[1.0]),
        entry(shape=[True]),
        entry(shape=[1] * 200),
        entry(shape=[2**70, 0], bytes=0),
        entry(shape=1),
        entry(dtype="|O"),
        entry(dtype="O8"),
        entry(dtype="|V8"),
        entry(dtype="i4,i4"),
        entry(dtype="(2,)f4"),
        entry(dtype="<f99"),
        entry(dtype="float64"),
        entry(dtype=">f8"),
        entry(dtype="<M8[zz]"),
        entry(dtype=8),
        entry(sha256="0" * 64),
        entry(name="../f"),
        {"name": "arrays/0"},
        7,
    ],
)
def test_forged_arrays_are_refused(tmp_path, wrong):
    text = manifest({"array": 0}, [wrong])
    forged(tmp_path / "f", [("manifest.json", text), ("arrays/0", EIGHT)])
    refused(tmp_path / "f")


def test_strings_of_what_is_no_character_are_refused(tmp_path):
    content = b"\xff" * 8
    text = manifest({"array": 0}, [entry(content, dtype="<U2")])
    forged(tmp_path / "f", [("manifest.json", text), ("arrays/0", content)])
    refused(tmp_path / "f", "no character")


@pytest.mark.parametrize("names", [[], ["arrays/1"], ["../x"], ["/etc/x"], ["arrays/0", "code.py"]])
def test_other_members_than_the_manifest_tells_of_are_refused(tmp_path, names):
    text = manifest({"array": 0}, [entry(name=names[0] if names else "arrays/0")])
    forged(tmp_path / "f", [("manifest.json", text), *((name, EIGHT) for name in names)])
    refused(tmp_path / "f", "f is damaged: its members")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["manifest.json", "arrays/0"])
def test_members_that_are_there_twice_are_refused(tmp_path, name):
    text = manifest({"array": 0}, [entry()])
    members = [("manifest.json", text), ("arrays/0", EIGHT), (name, text)]
    forged(tmp_path / "f", members)
    refused(tmp_path / "f", "f is damaged: its members")


@pytest.mark.parametrize(
    "tree",
    [
        1,
        {"array": 1},
        {"array": "0"},
        [{"array": 0}, {"array": 0}],
        [{"array": 0}, {"pickle": "x"}],
        [{"array": 0}, {"tuple": 3}],
        [{"array": 0}, {"dict": [1]}],
        [{"array": 0}, {"tuple": [], "dict": {}}],
        [{"array": 0}, {}],
        [{"array": 0}, {"int": "x"}],
        [{"array": 0}, {"int": 3}],
        [{"array": 0}, {"float": "x"}],
        [{"array": 0}, {"objects": [[10**12], ["a"]]}],
        [{"array": 0}, {"objects": [[-1], ["a"]]}],
        [{"array": 0}, {"objects": ["a"]}],
        [{"array": 0}, eval("[" * 101 + "]" * 101)],
    ],
)
def test_forged_trees_are_refused(tmp_path, tree):
    text = manifest(tree, [entry()])
    forged(tmp_path / "f", [("manifest.json", text), ("arrays/0", EIGHT)])
    refused(tmp_path / "f")


def test_an_array_twice_in_place_of_another_is_refused(tmp_path):
    text = manifest([{"array": 0}, {"array": 0}], [entry(), entry(name="arrays/1")])
    forged(tmp_path / "f", [("manifest.json", text), ("arrays/0", EIGHT), ("arrays/1", EIGHT)])
    refused(tmp_path / "f", "array 0 where 1 is due")


GOOD = manifest(1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"format":"gradlite"}',
        '{"format":"gradlite","version":1}',
        GOOD[:-1],
        GOOD + " ",
        GOOD.replace('"tree":1', '"tree":2'),
        GOOD.replace('"tree":1', '"tree":1,"tree":1'),
        GOOD.replace('"tree":1', '"tree":NaN'),
        GOOD.replace('"tree":1', '"tree":1e999'),
        GOOD.replace('"tree":1', f'"tree":{"9" * 5000}'),
        GOOD.replace('"tree":1', f'"tree":{"[" * 100000}'),
        GOOD.replace('"version":1', '"version":"1"'),
        manifest(1, version=None),
        b"\xff\xfe",
    ],
)
def test_forged_json_is_refused(tmp_path, text):
    forged(tmp_path / "f", [("manifest.json", text)])
    refused(tmp_path / "f")


def test_the_manifest_is_what_the_forgers_think(tmp_path):
    save(tmp_path / "f", 1, "k")
    with zipfile.ZipFile(tmp_path / "f") as archive:
        text = archive.read("manifest.json").decode()
    assert list(json.loads(text)) == list(json.loads(GOOD))


def test_compressed_members_are_refused(tmp_path):
    members = [("manifest.json", manifest(1)), ("arrays/0", bytes(10**6))]
    forged(tmp_path / "f", members, zipfile.ZIP_DEFLATED)
    refused(tmp_path / "f", r"f has .* compressed")


def test_a_directory_that_says_more_than_there_is_is_refused(tmp_path):
    text = manifest({"array": 0}, [entry(shape=[2**28], bytes=2**31)])
    forged(tmp_path / "f", [("manifest.json", text), ("arrays/0", EIGHT)])
    whole = bytearray((tmp_path / "f").read_bytes()[:-64])
    sizes = whole.rindex(b"PK\x01\x02") + 20
    whole[sizes : sizes + 8] = struct.pack("<LL", 2**31, 2**31)
    (tmp_path / "f").write_bytes(whole + hashlib.sha256(whole).hexdigest().encode())
    refused(tmp_path / "f", "larger than itself")


# -- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, ending):
    path = tmp_path / f"f.{ending}"
    save(path, "old", "k")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(path, np.zeros(1000), "k")
    assert load(path) == "old"
    assert os.listdir(tmp_path) == [path.name]


def test_a_write_that_fails_in_the_middle_leaves_the_old_file_and_nothing_else(
    tmp_path, monkeypatch
):
    save(tmp_path / "f", "old", "k")
    write = zipfile.ZipFile.writestr

    def failing(archive, member, data):
        if member.filename == "arrays/1":
            raise KeyboardInterrupt
        write(archive, member, data)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", failing)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "f", [np.zeros(1000), np.zeros(1000)], "k")
    assert load(tmp_path / "f") == "old"
    assert os.listdir(tmp_path) == ["f"]


KILLED = """
import os, signal, sys, zipfile
import numpy as np
from gradlite.persist import save

write = zipfile.ZipFile.writestr
def dying(archive, member, data):
    write(archive, member, data)
    archive.fp.flush()
    if member.filename == "arrays/0":
        os.kill(os.getpid(), signal.SIGKILL)
zipfile.ZipFile.writestr = dying
save(sys.argv[1], [np.zeros(1000), np.zeros(1000)], "k")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_process_killed_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "f"
    save(path, "old", "k")
    done = subprocess.run([sys.executable, "-c", KILLED, path], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 2  # it had begun
    assert load(path) == "old"
    save(path, "new", "k")
    assert load(path) == "new"


@pytest.mark.skipif(os.name != "posix", reason="permissions and links as POSIX has them")
def test_permissions_are_kept_links_followed_and_new_files_as_others(tmp_path):
    path, link = tmp_path / "f", tmp_path / "link"
    save(path, 1, "k")
    (tmp_path / "usual").write_bytes(b"")
    usual = os.stat(tmp_path / "usual").st_mode
    assert os.stat(path).st_mode == usual
    os.chmod(path, 0o640)
    link.symlink_to(path)
    save(link, 2, "k")
    assert link.is_symlink()
    assert load(path) == 2
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o640


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_no_regular_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PersistError, match="no regular file"):
        save(tmp_path / "pipe", 1, "k")
    assert os.listdir(tmp_path) == ["pipe"]


def test_the_same_state_makes_the_same_file(tmp_path):
    save(tmp_path / "a", TREE["weights"], "k")
    save(tmp_path / "b", TREE["weights"], "k")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_names_may_be_str_bytes_or_path(tmp_path):
    for name in (str(tmp_path / "f"), os.fsencode(tmp_path / "f"), tmp_path / "f"):
        assert through(name, 1) == 1
