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


BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[-1][:30])
def test_a_block_of_python_runs_when_it_is_pasted_alone(block, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved = {fn: {s: getattr(r, s) for s in Rule.__slots__} for fn, r in RULES.items()}
    try:
        exec(compile(block, "README.md", "exec"), {})
    finally:  # one defines rules that exist already
        for fn, slots in saved.items():
            for slot, value in slots.items():
                setattr(RULES[fn], slot, value)
    printed = capsys.readouterr().out.splitlines()
    stated = re.findall(r"^print\(.*\)  # (.*)$", block, flags=re.MULTILINE)
    assert len(printed) == len(stated)
    for line, expected in zip(printed, stated, strict=True):
        if re.fullmatch(r"0\.\d\d", expected):  # a score
            assert float(line) == pytest.approx(float(expected), abs=0.01)
        else:
            assert line == expected


def test_it_fits_on_four_screens():
    assert len(README.splitlines()) <= 200


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
    assert [command.split()[0] for command in commands] == ["train", "predict", "export"]
    for command in commands:
        assert main(shlex.split(command)) == 0
    for name in ("rents.gl", "rents.html", "predictions.csv", "predict.py"):
        assert Path(name).stat().st_size > 500
    assert "linear regression" in capsys.readouterr().out
