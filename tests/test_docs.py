"""The documentation tells the truth: its Python runs, and nothing public is forgotten."""

import ast
import importlib
import importlib.util
import inspect
import linecache
import re
import shlex
import tomllib
from pathlib import Path

import click
import numpy as np
import pytest

import gradlite
from gradlite.autodiff.rule import RULES, Rule
from gradlite.cli.app import gradlite as gradlite_command

ROOT = Path(gradlite.__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
SUBMODULES = [
    "gradlite", "gradlite.nn", "gradlite.nn.functional", "gradlite.nn.init", "gradlite.nn.utils",
    "gradlite.optim", "gradlite.optim.lr_scheduler", "gradlite.optim.schedules",
    "gradlite.optim.swa_utils",
    "gradlite.training.data", "gradlite.draw", "gradlite.estimators",
    "gradlite.compiler", "gradlite.export", "gradlite.engine", "gradlite.persist",
    "gradlite.scalar", "gradlite.errors",
]  # fmt: skip


def page(path):
    return path.relative_to(DOCS).as_posix()


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("gradlite_docs_hooks", DOCS / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def rules_kept():
    """Pages define rules, some of which exist already: put the table back."""
    saved = {fn: {s: getattr(r, s) for s in Rule.__slots__} for fn, r in RULES.items()}
    yield
    for fn in RULES.keys() - saved.keys():
        del RULES[fn]
    for fn, slots in saved.items():
        for slot, value in slots.items():
            setattr(RULES[fn], slot, value)


@pytest.mark.usefixtures("rules_kept")
@pytest.mark.parametrize("path", PAGES, ids=page)
def test_python_runs_and_prints_what_the_page_says(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", path.read_text(), flags=re.M | re.S)
    for number, (kind, block) in enumerate(blocks):
        if kind == "python":
            file = f"{page(path)}, block {number}"
            linecache.cache[file] = len(block), None, block.splitlines(True), file
            exec(compile(block, file, "exec"), names)
        elif kind == "text":
            assert capsys.readouterr().out == block


def test_every_public_name_is_in_the_reference(hooks):
    pages = (DOCS / "reference").glob("*.md")
    written = "\n".join(hooks.on_page_markdown(path.read_text()) for path in pages)
    entries = set(re.findall(r"^::: (\S+)$", written, flags=re.M))
    described = {id(found(entry)) for entry in entries}
    for submodule in SUBMODULES:
        module = importlib.import_module(submodule)
        for name in getattr(module, "__all__", None) or hooks.public_names(module):
            value = getattr(module, name)
            assert id(value) in described or f"{submodule}.{name}" in NO_ENTRY, (
                f"{submodule}.{name}"
            )


def test_lists_begin_with_the_first_thing_to_know_and_show_code_as_it_is(hooks):
    listed = hooks.reference("gradlite.draw").splitlines()
    assert next(line for line in listed if "[`" in line).startswith("| [`draw`](")
    assert "`|prediction - target|`" in hooks.reference("gradlite")  # in code, a bar ends no cell


@pytest.mark.parametrize("name", sorted(gradlite.__all__))
def test_docstrings_are_complete(name):
    # Estimators share paragraphs: none may be left as a place to fill in.
    assert not re.search(r"^ *\{\w+\}$", getattr(gradlite, name).__doc__, flags=re.M)


@pytest.mark.parametrize("name", [n for n in gradlite.__all__ if n.endswith(("ifier", "ressor"))])
def test_docstrings_of_estimators_say_the_defaults(name):
    estimator = getattr(gradlite, name)
    doc = inspect.getdoc(estimator)
    said = re.findall(r"^(\w.*) : .*\bdefaults?[= ](.*)$", doc, flags=re.M)
    assert len(said) > 25
    known = inspect.signature(estimator).parameters
    assert {parameter: known[parameter].default for parameter, _ in said} == {
        parameter: ast.literal_eval(value) for parameter, value in said
    }


@pytest.mark.parametrize("kind", [gradlite.Tensor, gradlite.engine.Value])
def test_methods_that_are_no_functions_in_the_source_are_named(kind):
    # The reference is made from the source, and would say nothing of them.
    tree = ast.parse(inspect.getsource(kind))
    written = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    methods = {n for n, f in vars(kind).items() if inspect.isfunction(f) and not n.startswith("_")}
    codes = re.findall(r"(?<!`)`([^`]+)`", kind.__doc__)
    named = {word for code in codes for word in code.split()}
    assert len(methods - written) > 8
    assert methods - written <= named


def test_a_page_of_the_reference_begins_with_what_its_module_says(hooks):
    page = hooks.reference("gradlite.persist")
    assert page.startswith("Saving trees of arrays and plain values in one file, without pickle.")
    assert page.index("```pycon\n>>> import os, tempfile") < page.index("| [`save`]")


NO_ENTRY = {
    "gradlite.nn.functional": "a module, with a section of its own",
    "gradlite.nn.init": "a module, with a section of its own",
    "gradlite.nn.utils": "a module, with a section of its own",
    "gradlite.optim.swa_utils": "a module, with a section of its own",
    "gradlite.optim.lr_scheduler": "a module, with a section of its own",
    "gradlite.optim.OPTIMIZERS": "a dict, which estimators look names up in",
}


def found(entry):
    submodule, _, name = entry.rpartition(".")
    return getattr(importlib.import_module(submodule), name)


def where(rule):
    return next(vjp for vjp in (*rule.vjps, rule.variadic) if vjp is not None).__module__


def test_every_rule_is_on_the_page_of_rules_with_its_formula(hooks):
    table = hooks.rule_table()
    ours = [
        rule for rule in RULES.values() if f"{where(rule)}.".startswith("gradlite.autodiff.rules.")
    ]
    assert len(ours) > 130  # other tests and doctests add theirs
    for rule in ours:
        assert f'<div class="rule" id="{rule.name}">' in table
    assert table.count("<math") > 2 * len(ours)  # what it is, and its derivatives
    assert "the subgradient taken there is 0" in table  # a comment above a rule
    assert "equal ones get half each" in table  # the docstring of a rule
    says = inspect.getdoc(np.tanh).split("\n\n")[1]  # NumPy's words, which change
    assert f"<code>np.tanh(x)</code><p>{says}</p><math" in table
    assert "`np.median`" in table  # written in other functions
    assert "`np.clip`" not in table  # has a rule: not among those


def test_every_example_is_on_the_page_of_examples(hooks):
    written = hooks.on_page_markdown((DOCS / "examples.md").read_text())
    for path in (ROOT / "examples").glob("[0-9]*.py"):
        assert f'title="examples/{path.name}"' in written
    for program in re.findall(r'^```python title="[^"]*"\n(.*?)^```', written, flags=re.M | re.S):
        ast.parse(program)


def test_its_commands_have_the_options_that_pages_use(hooks):
    text = (DOCS / "guide" / "command-line.md").read_text().replace("\\\n", "")
    commands = re.findall(r"^gradlite (\w+) (.+)$", text, flags=re.M)
    assert {name for name, _ in commands} == {"train", "predict", "export"}
    root = click.Context(gradlite_command)
    for name, arguments in commands:
        command = gradlite_command.get_command(root, name)
        command.make_parser(click.Context(command)).parse_args(shlex.split(arguments))
        assert f"Usage: gradlite {name} " in hooks.command_help(name)


def test_their_extra_brings_all_that_the_build_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = {re.split(r"[>=]", package)[0] for package in project["optional-dependencies"]["docs"]}
    # It draws a graph, and without a formatter long signatures stay on one line.
    assert {"gradlite[viz]", "mkdocs-material", "mkdocstrings[python]", "ruff"} <= extra


@pytest.mark.parametrize("path", PAGES, ids=page)
def test_pages_name_real_extras(path):
    text = (ROOT / "pyproject.toml").read_text()
    for extra in re.findall(r"\.\[(\w+)\]'", path.read_text()):
        assert f"\n{extra} = [" in text


@pytest.mark.parametrize("name", gradlite.ESTIMATORS)
def test_shared_texts_keep_their_indentation_in_docstrings(name):
    doc = inspect.getdoc(getattr(gradlite, name))
    parameters = doc[doc.index("Parameters\n---") : doc.index("Attributes\n---")].splitlines()[2:]
    for line in parameters:
        assert not line or line.startswith("    ") or re.match(r"\*{0,2}\w+(, \w+)*( : |$)", line)
