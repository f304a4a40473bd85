"""The README tells the truth: its Python runs, its links lead somewhere, its commands are there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import gradlite
from gradlite.__main__ import main
from gradlite.autodiff.rule import RULES, Rule

ROOT = Path(gradlite.__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_python_runs_from_top_to_bottom(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved = {fn: {s: getattr(r, s) for s in Rule.__slots__} for fn, r in RULES.items()}
    names: dict[str, object] = {}
    try:
        for block in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL):
            exec(compile(block, "README.md", "exec"), names)
    finally:  # it defines rules that exist already
        for fn, slots in saved.items():
            for slot, value in slots.items():
                setattr(RULES[fn], slot, value)
    printed = capsys.readouterr().out
    assert re.findall(r"^print\(.*\)  # (.*)$", README, flags=re.MULTILINE)[0] in printed
    assert "np.sqrt gave NaN in 1 of 2 entries" in printed
    stated = float(re.search(r"^model\.score\(X_val, y_val\)  # (.*)$", README, flags=re.M)[1])
    assert names["model"].score(names["X_val"], names["y_val"]) == pytest.approx(stated, abs=0.01)


def test_its_links_to_files_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)|src=\"([^\"]+)\"", README):
        assert (ROOT / "".join(target)).exists(), target


def test_its_links_to_sections_lead_somewhere():
    headings = re.findall(r"^#+ (.*)$", README, flags=re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= anchors


def test_it_has_the_two_commands_on_a_line_each():
    commands = re.findall(r"^    (python3 -m venv .*)$", README, flags=re.MULTILINE)
    assert [command.split()[-1] for command in commands] == ["gradlite", "pytest"]


def test_its_commands_for_a_table_do_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    area = rng.uniform(20, 120, 120).round(1)
    district = rng.choice(["Hill", "Port", ""], 120)
    lines = [f"{a},{d},{12 * a + 100 * (d == 'Hill')}" for a, d in zip(area, district, strict=True)]
    for name in ("flats.csv", "new_flats.csv"):
        Path(name).write_text("\n".join(["area,district,rent", *lines]))
    commands = re.findall(r"^    \.venv/bin/gradlite (.+)$", README, flags=re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["train", "predict"]
    for command in commands:
        assert main(shlex.split(command)) == 0
    for name in ("rents.gl", "rents.html", "predictions.csv"):
        assert f"`{name}`" in README or name in commands[1]
        assert Path(name).stat().st_size > 500
    assert "linear regression" in capsys.readouterr().out
    exec(re.search(r'^    \.venv/bin/python -c "(.+)"$', README, flags=re.MULTILINE)[1], {})
    assert Path("digits.csv").read_text().splitlines()[0].endswith(",target")
