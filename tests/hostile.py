"""Hostile files, loaded in a process of their own that is watched: crashes, time and memory.

By hand, for many more damaged files than a test has time for, from any seed::

    python -m tests.hostile 5000 0
"""

import collections
import contextlib
import faulthandler
import io
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np

SECONDS, MEGABYTES = 2.0, 300  # that a file below 2 MB may take
MEMORY = Path("/proc/self/status")
ROOT = Path(__file__).parent.parent


def build(in_features, out_features, width=4, depth=1):
    """A user's own builder, whose parameters come from the file."""
    from gradlite import nn

    layers = [nn.BatchNorm1d(in_features), nn.Linear(in_features, width), nn.ReLU()]
    for _ in range(depth - 1):
        layers += [nn.Linear(width, width), nn.LayerNorm(width)]
    return nn.Sequential(*layers, nn.Linear(width, out_features))


def load(path, how):
    """Load a file in one of the ways there are, and use what it holds."""
    import gradlite
    from gradlite import persist

    if how == "persist":
        return persist.load(path)
    if how == "model":
        from gradlite.cli.model import read_model

        return read_model(path)
    name, _, module = how.partition(" ")
    code = {"module": build} if module else {}
    est = getattr(gradlite, name).load(path, **code)
    quiet = contextlib.redirect_stdout(io.StringIO())  # a file may ask for verbose=True
    with warnings.catch_warnings(), quiet:
        warnings.simplefilter("ignore")
        try:
            est.predict(np.zeros((2, est.n_features_in_)))
            est.set_params(max_iter=1).fit(np.zeros((4, 3)), [0, 1, 0, 1])
        except Exception:  # nonsense is allowed, a crash is not
            pass
    return est


def kilobytes(name):
    """Memory of this process, by the name that Linux has for it."""
    for line in MEMORY.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise LookupError(name)


def watched(path, how):
    """Load a file: what came of it, the seconds and megabytes that it took, and its message."""
    from gradlite.errors import GradliteError

    if MEMORY.exists():
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins again
        before = kilobytes("VmRSS")
    start = time.process_time()
    said = ""
    try:
        load(path, how)
        what = "loaded"
    except GradliteError as error:
        what, said = type(error).__name__, str(error)
        cause = error.__cause__
        while cause is not None:
            if isinstance(cause, MemoryError):  # the limit caught it, and not we
                what = "escaped: MemoryError"
            cause = cause.__cause__
        if not said.isprintable() or len(said) > 2000:
            what = "escaped: what the file says"
    except Exception as error:
        what, said = f"escaped: {type(error).__name__}", str(error)[:500]
    seconds = time.process_time() - start
    peak = (kilobytes("VmHWM") - before) / 1024 if MEMORY.exists() else 0.0
    return what, seconds, peak, said


def limit_memory():
    """Allow this process no more than it has and what a file may take."""
    if MEMORY.exists():
        import resource

        limit = kilobytes("VmSize") * 1024 + MEGABYTES * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def faults(report):
    """What must not be: crashes, other exceptions than ours, and too much time or memory."""
    return [
        (number, *result)
        for number, result in enumerate(report)
        if result[0].startswith("escaped") or result[1] > SECONDS or result[2] > MEGABYTES
    ]


def in_a_process(jobs):
    """Load files, pairs of path and way, in a process; a crash of it is the last result."""
    lines = [json.dumps([str(path), how]) for path, how in jobs]
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile", "-"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    report = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    if done.returncode:
        report.append((f"escaped: exit status {done.returncode}", 0, 0, done.stderr[-3000:]))
    return report


def check(report):
    """Fail where a report has faults."""
    assert faults(report) == []


def from_stdin():
    """Load what `in_a_process` names."""
    jobs = [json.loads(line) for line in sys.stdin]
    warm_up({how for _, how in jobs})
    limit_memory()
    for path, how in jobs:
        faulthandler.dump_traceback_later(60, exit=True)
        print(json.dumps(watched(path, how)), flush=True)


def warm_up(ways):
    """Import what loading needs, and let BLAS take its memory: no file is to blame for these."""
    from gradlite import MLPClassifier, NetClassifier, NetRegressor  # noqa: F401  # to load it

    np.ones((64, 64)) @ np.ones((64, 64))
    with tempfile.TemporaryDirectory() as folder:
        for name, how in samples(folder):
            if how in ways:
                watched(name, how)


# -- files to damage -------------------------------------------------------------------------


def samples(folder):
    """One good file of every kind: its path, and how it is loaded."""
    from gradlite import MLPClassifier, MLPRegressor, NetClassifier, NetRegressor, persist

    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = (X[:, 0] > 0).astype(int)
    names = np.array(["no", "yes"], dtype=object)[y]
    common = {"max_iter": 3, "random_state": 0, "warm_start": True}
    fits = {
        "MLPClassifier": MLPClassifier((4, 3), dropout=0.1, early_stopping=True, **common),
        "MLPRegressor": MLPRegressor("quantile", 4, standardize=True, solver="sgd", **common),
        "NetClassifier": NetClassifier(module__width=5, schedule="plateau", **common),
        "NetRegressor build": NetRegressor(build, module__width=4, module__depth=2, **common),
    }
    random = {"max_iter": 2, "random_state": np.random.RandomState(np.random.Philox(0))}
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for how, est in fits.items():
            for suffix in ("", ".safetensors"):
                path = os.path.join(folder, how + suffix)
                est.fit(X, names if "Classifier" in how else X[:, 1]).save(path)
                found.append((path, how))
                est.set_params(**random)
    path = os.path.join(folder, "tree")
    tree = {"a": [1, (2.5, None)], "w": rng.normal(size=(3, 4)), "s": np.array(["x", "y"])}
    persist.save(path, {**tree, "o": names[:3], "n": np.float32(2), "f": float("inf")}, "tree")
    return [*found, (path, "persist"), *command_line_model(folder)]


def command_line_model(folder):
    """A model as `gradlite train` writes it, where its packages are installed."""
    try:
        import pandas as pd

        from gradlite import MLPClassifier
        from gradlite.cli.columns import preparation
        from gradlite.cli.model import ModelCard, make_pipeline, save_model
    except ImportError:
        return []
    rows = [f"{i % 7 if i % 5 else ''};{'abcd'[i % 4]};{i % 27 + 1}.1.2020" for i in range(40)]
    table = pd.DataFrame([row.split(";") for row in rows], columns=["size", "kind", "day"])
    kinds = {"size": ("number", "."), "kind": ("category", ""), "day": ("date", "%d.%m.%Y")}
    network = MLPClassifier((3,), max_iter=2, random_state=0)
    pipeline = make_pipeline(preparation(kinds), network).fit(table, [i % 3 for i in range(40)])
    card = ModelCard(
        "classification", "y", kinds, ["id"], [("network", {"R2": 0.5})], "gradlite train"
    )
    path = os.path.join(folder, "model.gl")
    save_model(path, pipeline, card)
    return [(path, "model")]


# -- damage ----------------------------------------------------------------------------------

NUMBERS = (0, -1, 1, 2, 7, 625, 10**4, 2**31, 10**9, 2**63, 10**30, 10**200, 0.5, 1e308)
VALUES = (*NUMBERS, None, True, "x", "\x1b[31m", "a" * 10**5, [], {}, [[]] * 1000, ["x"] * 10**4)
VALUES += tuple({tag: value} for tag in ("dict", "tuple", "float") for value in ([], {}, "nan"))
VALUES += ({"array": "w"}, {"scalar": 0}, {"objects": [[10**9], [1]]}, {"objects": [[2], [1, 2]]})
VALUES += ({"tuple": [5] * 200_000}, {"dict": {"a": {"dict": {"b": {"tuple": [1]}}}}})
SHAPES = ("(10**9,)", "(1000000000000,)", "(-1,)", "(0,)", "(3, 4)", "(4, 3)", "()", "(1.5,)", "x")
DTYPES = ("'|O'", "'<f4'", "'<i8'", "'<U9'", "'|b1'", "'<c16'", "'<M8[ns]'", "[('a','<f8')]", "1")


def damaged(data, rng):
    """Return a file with one to three kinds of damage."""
    is_zip = data.startswith(b"PK")
    edits = [edit_manifest, edit_manifest, edit_array] if is_zip else [edit_text]
    others = [flip, cut, splice, edit_members, lie] if is_zip else [flip, cut, splice]
    kinds = edits if rng.integers(4) else others  # most of them get far into the loading
    for _ in range(rng.integers(1, 4)):
        kind = kinds[rng.integers(len(kinds))]
        try:
            data = kind(data, rng) or data
        except Exception:  # it is damaged too much by now to be edited
            return data
    return data


def flip(data, rng):
    """Flip bits."""
    data = bytearray(data)
    for place in rng.integers(0, len(data), rng.integers(1, 9)):
        data[place] ^= 1 << int(rng.integers(8))
    return bytes(data)


def cut(data, rng):
    """Truncate."""
    return data[: rng.integers(len(data))]


def splice(data, rng):
    """Copy a stretch to another place, over what is there or between."""
    start, place = rng.integers(0, len(data), 2)
    part = data[start : start + int(rng.integers(1, 400))]
    return data[:place] + part + data[place + rng.integers(2) * len(part) :]


def unzip(data):
    """Return the members, name and content."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def rezip(members, compression=zipfile.ZIP_STORED):
    """Write members with valid checksums."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", compression) as archive:
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return file.getvalue()


def nodes(tree):
    """Every container of a JSON tree with every key of it."""
    stack = [tree]
    while stack:
        node = stack.pop()
        keys = (
            node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        )
        for key in keys:
            yield node, key
            stack.append(node[key])


def edit_manifest(data, rng):
    """Change, remove, move or double what the manifest says."""
    members = unzip(data)
    body = json.loads(members[0][1])
    for _ in range(rng.integers(1, 4)):
        found = list(nodes(body))
        node, key = found[rng.integers(len(found))]
        how = rng.integers(6)
        if how == 0:
            del node[key]
        elif how == 1:
            other, place = found[rng.integers(len(found))]
            node[key] = json.loads(json.dumps(other[place]))
        elif how == 2 and isinstance(node, list):
            node.extend(json.loads(json.dumps(node[key : key + 1])) * int(rng.integers(1, 1000)))
        elif how == 3 and type(node[key]) in (int, float):
            node[key] = NUMBERS[rng.integers(len(NUMBERS))]
        else:
            node[key] = VALUES[rng.integers(len(VALUES))]
    text = json.dumps(body)
    if rng.integers(10) == 0:
        deep = ("[" * 10**5, '{"tuple":' * 10**5, "NaN", "-Infinity", "1e999", "9" * 10**5)
        text = text.replace(str(rng.integers(10)), deep[rng.integers(6)], 1)
    return rezip([(members[0][0], text.encode()), *members[1:]])


def edit_text(data, rng):
    """Change a number or a word of a header in place (safetensors)."""
    words = list(re.finditer(rb'\d+|"[^"]*"', data[8:]))
    word = words[rng.integers(len(words))]
    new = str(VALUES[rng.integers(len(VALUES))]).encode()[:1000]
    data = data[: 8 + word.start()] + new + data[8 + word.end() :]
    length = int.from_bytes(data[:8], "little") + len(new) - len(word[0])
    return max(length, 0).to_bytes(8, "little") + data[8:]


def edit_array(data, rng):
    """Change the header or the numbers of an array."""
    members = unzip(data)
    i = int(rng.integers(1, len(members)))
    name, array = members[i]
    how = rng.integers(5)
    if how == 0:
        array = re.sub(rb"\([\d, ]*\)", SHAPES[rng.integers(len(SHAPES))].encode(), array, count=1)
    elif how == 1:
        array = re.sub(rb"'[<|][^']*'", DTYPES[rng.integers(len(DTYPES))].encode(), array, count=1)
    elif how == 2:
        array = flip(array[:128], rng) + array[128:]
    elif how == 3:
        size = len(array) - 128
        array = array[:128] + rng.bytes(size)
    else:
        file = io.BytesIO()
        shape = tuple(int(n) for n in rng.integers(0, 30, rng.integers(4)))
        np.save(file, np.full(shape, rng.choice([0, -1, 255, 10**9])))
        array = file.getvalue()
    if how < 3 and array[:6] == b"\x93NUMPY" and rng.integers(2):
        array = array[:8] + struct.pack("<H", array.index(b"\n") - 9) + array[10:]
    members[i] = (name, array)
    return rezip(members)


def edit_members(data, rng):
    """Take away, double, rename, compress or add members."""
    members = unzip(data)
    i, how = int(rng.integers(len(members))), rng.integers(6)
    if how == 0:
        del members[i]
    elif how == 1:
        members.insert(int(rng.integers(len(members))), members[i])
    elif how == 2:
        names = ("../x.npy", "manifest.json", "/etc/x", "x.py", "", "a" * 60_000, "\x1b[31m.npy")
        members[i] = (names[rng.integers(len(names))], members[i][1])
    elif how == 3:
        return rezip(members, (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)[rng.integers(2)])
    elif how == 4:
        members[i] = (members[i][0], members[i][1] + bytes(10**8))
        return rezip(members, zipfile.ZIP_DEFLATED)
    else:
        members.append(("x.npy", rng.bytes(200)))
    return rezip(members)


def lie(data, rng):
    """Change a field of the zip's directory, of a local header, or of its end."""
    marks = [found.start() for found in re.finditer(rb"PK(\x01\x02|\x03\x04|\x05\x06)", data)]
    place = marks[rng.integers(len(marks))]
    values = (0, 1, 8, 2**16 - 1, 2**31, 2**32 - 1, len(data), int(rng.integers(len(data))))
    data = bytearray(data)
    struct.pack_into("<L", data, place + int(rng.integers(4, 46)), values[rng.integers(8)])
    return bytes(data)


def fuzz(count, seed):
    """Load so many damaged files, and return what came of them, and what must not have."""
    results, wrong = collections.Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        found = samples(folder)
        originals = [(Path(path).read_bytes(), how) for path, how in found]
        for path, how in found:
            assert watched(path, how)[0] == "loaded"
        limit_memory()
        path = os.path.join(folder, "damaged")
        for number in range(count):
            rng = np.random.default_rng([seed, number])
            data, how = originals[rng.integers(len(originals))]
            Path(path).write_bytes(damaged(data, rng))
            faulthandler.dump_traceback_later(60, exit=True)
            print(f"\r{number} {how}", end="", file=sys.stderr)  # the last one, if it crashes
            result = watched(path, how)
            results[result[0]] += 1
            wrong += [(number, how, *result)] if faults([result]) else []
    return results, wrong


def main(arguments):
    """Load the files that stdin names, or damage so many from a seed."""
    if arguments == ["-"]:
        from_stdin()
        return
    results, wrong = fuzz(*map(int, arguments))
    print(json.dumps([results, wrong]))


if __name__ == "__main__":
    main(sys.argv[1:])
