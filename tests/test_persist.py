"""Saving and loading: what comes back, what is refused, and what a crash leaves behind."""

import io
import json
import os
import pickle
import signal
import stat
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib

import numpy as np
import pytest

from gradlite import persist
from gradlite.errors import PersistError
from gradlite.persist import load, replacing_file, save
from tests import hostile

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
    "ints": [0, -1, 2**63 - 1, 2**63, -(2**63), 2**128 - 1],
    "floats": [0.1, -0.0, 5e-324, 1.7976931348623157e308, float("inf"), -float("inf")],
    "text": 'é\n"\\\ud800\x00🙂',
    "": {"": (), "a.b": [(), [], {}, ((1,), [2])], "a": {"b": np.float32(0.1)}},
    "dict": {"dict": {"tuple": ["array"]}, "__metadata__": np.arange(2)},
    "__metadata__": np.arange(3),
    "weights": np.random.default_rng(0).normal(size=(3, 4)),
    "labels": np.array(["a", 1, 2.5, True, None, float("inf"), 10**30], dtype=object),
    "lists": np.array([[1], None, [2, 3]], dtype=object),
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
    assert sorted(tensors) == ["_.npy", "fc.weight", "fc.weight#1"]
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
        ({"a": {3: 4}}, TypeError, r"at \['a'\]: the key 3 is not a str"),
        ([b"x"], TypeError, "builtins.bytes"),
        ([1j], TypeError, "builtins.complex"),
        (np.array([Stranger()]), TypeError, "Stranger cannot"),
        (np.zeros(2, dtype="i4,f8"), TypeError, "an array of .*f1.* cannot be saved"),
        (np.ma.masked_array([1, 2], [0, 1]), TypeError, "MaskedArray"),
        ([2**128], ValueError, r"at \[0\]: an integer of more than 128 bits"),
        (
            loop(),
            ValueError,
            r"at \[0\]\[0\]\[0\]\[0\]\[0\]: nested deeper than 100 levels, or in itself",
        ),
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


def test_missing_files_and_directories_are_named(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"no folder '.*none' to write '.*none.f' to"):
        save(tmp_path / "none" / "f", 1, "k")
    for use in (load, lambda path: save(path, 1, "k")):
        with pytest.raises(PersistError, match="is not a regular file"):
            use(tmp_path)
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


def test_one_altered_bit_anywhere_changes_nothing_or_is_noticed(tmp_path):
    path = tmp_path / "f"
    tree = {"w": np.arange(6.0).reshape(2, 3), "s": "text", "n": 10**20, "t": (1.5, np.int8(2))}
    save(path, tree, "k")
    whole = path.read_bytes()
    for place in range(len(whole)):
        altered = bytearray(whole)
        altered[place] ^= 1 << place % 8
        path.write_bytes(altered)
        try:
            assert same(load(path, "k"), tree)  # a date or an attribute of the zip
        except PersistError as error:
            assert str(error).startswith(str(path))  # noqa: PT017  not always one


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_truncation_and_anything_before_or_behind_is_noticed(tmp_path, ending):
    path = tmp_path / f"f.{ending}"
    save(path, {"w": np.arange(6.0)}, "k")
    whole = path.read_bytes()
    more = [whole + b"x", whole + whole, b"x" + whole, b"PK\3\4" + whole]
    for damaged in [whole[:end] for end in range(len(whole))] + more:
        path.write_bytes(damaged)
        with pytest.raises(PersistError):
            load(path, "k")


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(array, **changes):
    """The bytes of an .npy file, the words of its header replaced."""
    file = io.BytesIO()
    np.save(file, array)
    data = file.getvalue()
    for old, new in changes.items():
        data = data.replace(old.encode(), new.encode().ljust(len(old)))
    return data


def forged(path, *members, compression=zipfile.ZIP_STORED):
    """Write a zip with right checksums, whatever it holds."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", compression) as archive:
        warnings.simplefilter("ignore")  # the same name twice
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)


def manifest(tree, **more):
    head = {"format": "gradlite", "version": 1, "gradlite": "9", "kind": "k"}
    return "manifest.json", json.dumps({**head, "tree": tree, **more})


W = ("w.npy", npy(np.zeros(1)))


def refused(path, words=r"f (is|has|holds) "):
    with pytest.raises(PersistError, match=words) as error:
        load(path, "k")
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 500
    assert not isinstance(error.value.__cause__, MemoryError)  # it was noticed before


def test_a_forged_file_that_is_right_in_all_is_loaded(tmp_path):
    forged(tmp_path / "f", manifest({"array": "w"}), W)
    assert load(tmp_path / "f", "k") == np.zeros(1)


def test_numpy_reads_the_arrays_too(tmp_path):
    save(tmp_path / "f", TREE, "k")
    with np.load(tmp_path / "f") as arrays:
        np.testing.assert_array_equal(arrays["weights"], TREE["weights"])


def word(content):
    """A real document of a word processor, as far as its first members go."""
    file = io.BytesIO()
    forged(file, ("[Content_Types].xml", "<Types/>"), ("word/document.xml", content))
    return file.getvalue()


FOREIGN = {
    "empty": b"",
    "zip magic": b"PK",
    "text": b"hello, world",
    "csv": b"x,y\n1,2\n",
    "pickle": pickle.dumps({"w": 1}),
    "joblib, compressed": zlib.compress(pickle.dumps({"w": 1})),
    "npz": npz(w=np.arange(3)),
    "npz with a pickle": npz(w=np.array([Stranger], dtype=object)),
    "npy": npy(np.arange(3)),
    "docx": word("<w:document/>"),
    "jar": word("Main-Class: x").replace(b"[Content_Types].xml", b"META-INF/MANIFEST.M"),
    "Keras": word("{}").replace(b"[Content_Types].xml", b"metadata.json/conf."),
    "parquet": b"PAR1" + bytes(100) + b"PAR1",
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "empty zip": b"PK\x05\x06" + bytes(18),
    "half a header": b"PK\x03\x04" + b"manifest.json" * 20,
    "safetensors of nothing": struct.pack("<Q", 2) + b"{}",
    "safetensors of PyTorch": struct.pack("<Q", 64)
    + b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(64)
    + bytes(4),
    "safetensors, a header of 2**60": struct.pack("<Q", 2**60) + b"{}" + b" " * 100,
    "safetensors, a header that is deep": struct.pack("<Q", 10**5) + b'{"a":' * (10**5 // 5),
    "safetensors, 2**50 numbers": struct.pack("<Q", 80)
    + b'{"w":{"dtype":"F64","shape":[1125899906842624],"data_offsets":[0,8]}}'.ljust(80)
    + bytes(8),
    "safetensors, offsets that overlap": struct.pack("<Q", 128)
    + (
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    ).ljust(128)
    + bytes(4),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_files_of_other_programs_are_refused(tmp_path, what):
    if FOREIGN[what][8:9] == b"{" and safetensors is None:
        pytest.skip("needs the package safetensors")
    (tmp_path / "f").write_bytes(FOREIGN[what])
    refused(tmp_path / "f", "f is ")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/null", "/dev/zero"):
        with pytest.raises(PersistError, match="not a regular file"):
            load(path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError, match=r"symbolic links.*loop"):
        load(tmp_path / "loop")


HUGE = [
    {"(1,)": "(1000000000000,)"},
    {"(1,)": f"({2**62},)"},
    {"(1,)": f"({10**18 - 1}, {10**18 - 1})"},
    {"(1,)": "(2,)"},
    {"(1,)": "(0,)"},
    {"(1,)": "(-1,)"},
    {"(1,)": "(-1, -1)"},
    {"(1,)": "(1.0,)"},
    {"(1,)": "(True,)"},
    {"(1,)": f"({'1,' * 80})"},
    {"(1,)": f"({2**70}, 0)"},
    {"(1,)": "1"},
    {"(1,)": "None"},
    {"False": "True", "(1,)": "(1, 1)"},
    {"'<f8'": "'|O'"},
    {"'<f8'": "'O8'"},
    {"'<f8'": "'|V8'"},
    {"'<f8'": "'>f8'"},
    {"'<f8'": "'f8'"},
    {"'<f8'": "'<f99'"},
    {"'<f8'": "'<M8[zz]'"},
    {"'<f8'": "'i4,i4'"},
    {"'<f8'": "'<U0'"},
    {"'<f8'": "'<S0'", "(1,)": "(10**9,)"},
    {"'<f8'": "[('a', '<f8')]"},
    {"'<f8'": "('<f4', (2,))"},
    {"'<f8'": "__import__('os').system('x')"},
    {"'<f8'": "'" + "f" * 900 + "'"},
    {"'<f8'": "-" * 60 + "1"},
    {"{": "(" * 60},
    {"}": ", 'x': 1}"},
]


@pytest.mark.filterwarnings("ignore:Reading `.npy`")
@pytest.mark.parametrize("changes", HUGE, ids=str)
def test_forged_headers_of_arrays_are_refused(tmp_path, changes):
    data = W[1]
    for old, new in changes.items():
        assert old.encode() in data
        data = data.replace(old.encode(), new.encode(), 1)
    size = len(data) - 8 - 10
    data = data[:8] + struct.pack("<H", size) + data[10:]  # the header is as long as it says
    forged(tmp_path / "f", manifest({"array": "w"}), ("w.npy", data))
    if changes == {"'<f8'": "'f8'"}:  # another word for the same
        assert load(tmp_path / "f", "k") == np.zeros(1)
    else:
        refused(tmp_path / "f")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\xff\xff" + W[1][10:],  # a header of 64 KB
        b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + W[1][10:],  # one of 2 GB
        b"\x93NUMPY\x03\x00" + struct.pack("<L", 118) + W[1][10:],
        b"\x93NUMPY\x63\x00" + W[1][8:],
        b"\x93NUMPX" + W[1][6:],
        W[1][:-1],
        W[1] + b"x",
        pickle.dumps(np.zeros(1)),
        W[1][:8] + struct.pack("<H", 8) + b"{'a': 1\n" + bytes(8),
    ],
)
def test_what_is_no_array_is_refused(tmp_path, data):
    forged(tmp_path / "f", manifest({"array": "w"}), ("w.npy", data))
    refused(tmp_path / "f")


@pytest.mark.parametrize("dtype", ["<U0", "|S0", "|U0", "<S0"])
def test_elements_without_bytes_are_refused(tmp_path, dtype):
    # A billion of them are in a file of no size, and a list of them is not.
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': (1000000000,), }}"
    header = text.ljust(117).encode() + b"\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    forged(tmp_path / "f", manifest({"array": "w"}), ("w.npy", data))
    refused(tmp_path / "f", "an array of .*0 that gradlite does not save")


def test_bytes_that_are_no_characters_and_no_bools_are_refused(tmp_path):
    for array in (np.array(["ab"]), np.array([True] * 8)):
        data = npy(array)[: -array.nbytes] + b"\xff" * array.nbytes
        forged(tmp_path / "f", manifest({"array": "w"}), ("w.npy", data))
        refused(tmp_path / "f", "bytes that are no")


ANOTHER = ("v.npy", W[1])


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ((), "Missing|no place|damaged"),
        ((ANOTHER,), "'w'"),
        ((W, ANOTHER), "1 of its arrays are not in its manifest"),
        ((W, W), "there twice"),
        ((W, manifest(2)), "as NumPy|magic"),
        ((W, ("code.py", "import os")), "magic|as NumPy"),
        ((W, ("../../x.npy", W[1])), "are not in its manifest"),
        ((W, ("/etc/x.npy", W[1])), "are not in its manifest"),
        ((W, ("x/", b"")), "."),
    ],
)
def test_other_members_than_the_manifest_tells_of_are_refused(tmp_path, members, words):
    forged(tmp_path / "f", manifest({"array": "w"}), *members)
    refused(tmp_path / "f", words)
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize(
    "tree",
    [
        1,
        {"array": "v"},
        {"array": 0},
        {"array": ["w"]},
        [{"array": "w"}, {"array": "w"}],
        [{"array": "w"}, {"scalar": "w"}],
        [{"array": "w"}, {"pickle": "x"}],
        [{"array": "w"}, {"tuple": 3}],
        [{"array": "w"}, {"dict": [1]}],
        [{"array": "w"}, {"tuple": [], "dict": {}}],
        [{"array": "w"}, {}],
        [{"array": "w"}, {"float": "x"}],
        [{"array": "w"}, {"float": "1" * 10**6}],
        [{"array": "w"}, {"objects": [[10**12], ["a"]]}],
        [{"array": "w"}, {"objects": [[-1], ["a"]]}],
        [{"array": "w"}, {"objects": [[-1, -1], ["a"]]}],
        [{"array": "w"}, {"objects": ["a"]}],
        [{"array": "w"}, {"objects": 3}],
        [{"array": "w"}, 2**128],
        [{"array": "w"}, -(10**4000)],
        [{"array": "w"}, eval("[" * 101 + "]" * 101)],
    ],
    ids=lambda tree: str(tree)[:30],
)
def test_forged_trees_are_refused(tmp_path, tree):
    forged(tmp_path / "f", manifest(tree), W)
    refused(tmp_path / "f")


GOOD = manifest(1)[1]


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
        GOOD + "x",
        GOOD.replace('"tree": 1', '"tree": NaN'),
        GOOD.replace('"tree": 1', '"tree": -Infinity'),
        GOOD.replace('"tree": 1', '"tree": 1e999'),
        GOOD.replace('"tree": 1', f'"tree": {"9" * 5000}'),
        GOOD.replace('"tree": 1', f'"tree": {"[" * 100000}'),
        GOOD.replace('"tree": 1', '"tree": ' + '{"tuple":[' * 100000),
        GOOD.replace('"version": 1', '"version": "1"'),
        GOOD.replace('"version": 1', '"version": true'),
        GOOD.replace('"version": 1', f'"version": {10**4000}'),
        GOOD.replace('"k"', "[]"),
        manifest(1, version=None)[1],
        b"\xff\xfe",
    ],
    ids=lambda text: str(text)[-30:],
)
def test_forged_json_is_refused(tmp_path, text):
    forged(tmp_path / "f", ("manifest.json", text))
    refused(tmp_path / "f")


@pytest.mark.parametrize("field", ["kind", "gradlite", "format"])
def test_what_a_file_says_of_itself_is_quoted_without_its_control_characters(tmp_path, field):
    for version in (1, 2):
        evil = {field: "\x1b]0;x\x07\x9b31m\u202e\n" * 1000}
        forged(tmp_path / "f", manifest(1, **{"version": version, **evil}))
        if field == "gradlite" and version == 1:
            assert load(tmp_path / "f", "k") == 1
            continue
        refused(tmp_path / "f")
        with pytest.raises(PersistError) as error:
            load(tmp_path / "f", "k")
        assert str(error.value).isprintable()


def test_compressed_members_are_refused_before_they_are_unpacked(tmp_path):
    bomb = npy(np.zeros(2**20, np.uint8))
    for level in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        forged(tmp_path / "f", manifest({"array": "w"}), ("w.npy", bomb), compression=level)
        refused(tmp_path / "f", "is compressed or encrypted")


def directory(data, **fields):
    """Change fields of the last entry of a zip's directory."""
    places = {"flags": (8, "<H"), "packed": (20, "<L"), "size": (24, "<L"), "at": (42, "<L")}
    data = bytearray(data)
    entry = data.rindex(b"PK\x01\x02")
    for name, value in fields.items():
        offset, form = places[name]
        struct.pack_into(form, data, entry + offset, value)
    return bytes(data)


@pytest.mark.parametrize(
    "fields",
    [
        {"packed": 2**31, "size": 2**31},
        {
            "packed": 2**32 - 1,
            "size": 2**32 - 1,
        },  # see the extra field of zip64, which is not there
        {"size": 2**31},
        {"packed": 0},
        {"at": 0},
        {"at": 20},
        {"at": 2**31},
        {"at": 2**32 - 1},
        {"flags": 1},
    ],
    ids=str,
)
def test_a_directory_that_lies_is_refused(tmp_path, fields):
    forged(tmp_path / "f", manifest({"array": "w"}), W)
    (tmp_path / "f").write_bytes(directory((tmp_path / "f").read_bytes(), **fields))
    refused(tmp_path / "f")


def test_zip64_that_lies_is_refused(tmp_path):
    info = zipfile.ZipInfo("w.npy")
    info.extra = struct.pack("<HHQQQ", 1, 24, 2**50, 2**50, 0)
    with zipfile.ZipFile(tmp_path / "f", "w") as archive:
        archive.writestr(*manifest({"array": "w"}))
        archive.writestr(info, W[1])
    data = directory((tmp_path / "f").read_bytes(), packed=2**32 - 1, size=2**32 - 1, at=2**32 - 1)
    (tmp_path / "f").write_bytes(data)
    refused(tmp_path / "f")


def test_many_members_that_share_their_bytes_are_refused(tmp_path):
    """Fifield's zip bomb, "A better zip bomb" (2019), without its compression."""
    names = [f"w{i}.npy" for i in range(300)]
    tree = [{"array": name.removesuffix(".npy")} for name in names]
    forged(tmp_path / "f", manifest(tree), *((name, npy(np.zeros(2000))) for name in names))
    data = bytearray((tmp_path / "f").read_bytes())
    first, place = data.index(b"w0.npy") - 30, data.index(b"PK\x01\x02")
    while (place := data.find(b"PK\x01\x02", place + 1)) > 0:
        struct.pack_into("<L", data, place + 42, first)
    (tmp_path / "f").write_bytes(data)
    refused(tmp_path / "f", "overlap")


def test_a_file_of_many_small_things_takes_no_more_than_it_is_worth(tmp_path):
    """Two megabytes: 2 seconds and 300 MB are enough for any of them."""
    fillers = ["[]", "[0]", '{"tuple":[]}', '{"dict":{}}', '{"dict":{"a":0}}', '{"float":"inf"}']
    for i, filler in enumerate([*fillers, "1e5", '"\\u0101"', '{"objects":[[1],[0]]}']):
        tree = f"[{','.join([filler] * (2_000_000 // (len(filler) + 1)))}]"
        forged(tmp_path / str(i), ("manifest.json", GOOD.replace('"tree": 1', f'"tree": {tree}')))
    zipped = [("manifest.json", GOOD), *((f"{i}.npy", b"") for i in range(20_000))]
    forged(tmp_path / "9", *zipped)
    paths = sorted(tmp_path.iterdir())
    assert all(path.stat().st_size < 2.1e6 for path in paths)
    report = hostile.in_a_process([(str(path), "persist") for path in paths])
    assert [what for what, *_ in report] == ["loaded"] * 9 + ["PersistError"]
    hostile.check(report)


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
        if member.filename == "1.npy":
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
    if member.filename == "0.npy":
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
    save(tmp_path / "another", 1, "k")
    assert len(os.listdir(tmp_path)) == 3
    save(path, "new", "k")
    assert load(path) == "new"
    assert sorted(os.listdir(tmp_path)) == ["another", "f"]


WRITING = "import sys; from gradlite.persist import save; save(sys.argv[1], 'theirs', 'k')"


def test_what_another_process_is_writing_is_not_taken_for_left_over(tmp_path):
    path = str(tmp_path / "f")
    with replacing_file(path) as file:
        file.write(b"ours")
        subprocess.run([sys.executable, "-c", WRITING, path], timeout=60, check=True)
        assert load(path) == "theirs"
    assert (tmp_path / "f").read_bytes() == b"ours"
    assert os.listdir(tmp_path) == ["f"]


def test_a_file_taken_for_left_over_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    lock, taken = persist._lock, []

    def late(file):
        if not taken:
            taken.append(os.unlink(file.name))
        return lock(file)

    monkeypatch.setattr(persist, "_lock", late)
    save(tmp_path / "f", 1, "k")
    assert load(tmp_path / "f") == 1
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("failing", ["open", "replace", "write"])
def test_errors_name_the_file_that_the_user_knows(tmp_path, monkeypatch, failing):
    def fail(path, *args):
        raise PermissionError(13, "Permission denied", path, None, *args[:1])

    if failing == "open":  # as in a folder that may not be written to
        monkeypatch.setattr(persist, "open", fail, raising=False)
    elif failing == "replace":
        monkeypatch.setattr(os, "replace", fail)
    else:
        monkeypatch.setattr(os, "fsync", lambda number: fail(None))
        monkeypatch.setattr(persist, "FULL", (13,))
    with pytest.raises(PermissionError) as error:
        save(tmp_path / "f", 1, "k")
    assert error.value.filename == str(tmp_path / "f")
    assert ".gradlite" not in str(error.value)
    assert os.listdir(tmp_path) == []


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
    with pytest.raises(PersistError, match="not a regular file"):
        save(tmp_path / "pipe", 1, "k")
    assert os.listdir(tmp_path) == ["pipe"]


def test_the_same_state_makes_the_same_file(tmp_path):
    save(tmp_path / "a", TREE["weights"], "k")
    save(tmp_path / "b", TREE["weights"], "k")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_names_may_be_str_bytes_or_path(tmp_path):
    for name in (str(tmp_path / "f"), os.fsencode(tmp_path / "f"), tmp_path / "f"):
        assert through(name, 1) == 1
