"""The README tells the truth: its Python runs, its links lead somewhere, its commands are there."""

import re
from pathlib import Path

import gradlite
from gradlite.rule import RULES, Rule

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
    assert re.findall(r"```text\n(.*?)```", README, flags=re.DOTALL)[0] in printed
    assert "np.sqrt gave NaN in 1 of 2 entries" in printed


def test_its_links_to_files_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)|src=\"([^\"]+)\"", README):
        assert (ROOT / "".join(target)).exists(), target


def test_it_has_the_two_commands_on_a_line_each():
    commands = re.findall(r"^    (python3 -m venv .*)$", README, flags=re.MULTILINE)
    assert [command.split()[-1] for command in commands] == ["gradlite", "pytest"]
