"""What the documentation takes from the code itself: MkDocs calls this while it builds the pages.

A page says where it wants something by a comment: ``<!-- reference: gradlite.nn -->`` becomes the
reference of a module's public names, ``<!-- rules -->`` the table of all derivative rules,
``<!-- examples -->`` the scripts of examples/, ``<!-- help: train -->`` what a command of the
command line says of itself, and ``<!-- pytorch: spellings -->`` a table of what PyTorch spells
otherwise.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from html import escape
from importlib import import_module
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from gradlite.autodiff.rule import DECOMPOSITIONS, RULES, Rule
from gradlite.cli.app import gradlite
from gradlite.coming_from_pytorch import as_markdown
from gradlite.draw import draw
from gradlite.draw.formulas import Formula, defined, explained, formulas
from gradlite.draw.mathematics import entry_of
from gradlite.engine import Value
from gradlite.errors import function_name

ROOT = Path(__file__).parents[1]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace comments by the sections that they name."""
    return re.sub(r"<!-- (\w+)(?:: (\S+))? -->", lambda m: SECTIONS[m[1]](m[2]), markdown)


def on_post_build(config: Any) -> None:
    """Draw the neuron that the page about drawing steps through."""
    x, w, b = Value(2.0, label="x"), Value(-3.0, label="w"), Value(6.8814, label="b")
    out = (x * w + b).tanh()
    out.label = "out"
    out.backward()
    draw(out).save(Path(config.site_dir) / "neuron.html")


# -- the reference ----------------------------------------------------------------------------

FIRST = (
    "drawing", "tensor", "transforms", "rule", "checking", "modes", "debug",
    "module", "layers", "normalization", "convolution", "embedding", "losses",
)  # fmt: skip
"""The files whose names come first on a page; the others follow in the order of import."""


def public_names(module: ModuleType) -> list[str]:
    """List what a module offers: ``__all__``, or else what it defines."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return [name for name in listed if callable(getattr(module, name))]
    return [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
        and callable(value)
        and not name.startswith("_")
    ]


def reference(name: str) -> str:
    """Write the reference of a module: a list of its names, then each with its documentation."""
    module = import_module(name)
    about, _, example = inspect.getdoc(module).partition("\n\nExamples\n--------\n")
    lines, entries = [], []
    for home, names in by_home(module):
        elsewhere = name == "gradlite" and home.startswith("gradlite.estimators")
        source, page = ("gradlite.estimators", "estimators.md") if elsewhere else (name, "")
        if home != name:
            lines.append(f"| **{title(home)}** | |")
        for n in names:
            lines.append(f"| [`{n}`]({page}#{source}.{n}) | {summary(getattr(module, n))} |")
            if not elsewhere:
                entries.append(f"::: {name}.{n}\n")
                if source == "gradlite.estimators" or n == "Tensor":
                    entries.append("    options: { inherited_members: true }\n")
    shown = f"```pycon\n{example}\n```" if example else ""
    return "\n".join(
        [about.replace("``", "`"), "", shown, "", "| | |", "|---|---|", *lines, "", *entries]
    )


def by_home(module: ModuleType) -> Iterator[tuple[str, list[str]]]:
    """Group the public names of a module by the files that define them."""
    public = public_names(module)
    order = list(sys.modules)  # by now, with what is loaded on first use

    def place(name: str) -> tuple[int, int]:
        home = getattr(module, name).__module__
        last = home.rpartition(".")[2]
        return FIRST.index(last) if last in FIRST else len(FIRST), order.index(home)

    for _, names in groupby(sorted(public, key=place), place):
        found = list(names)
        yield getattr(module, found[0]).__module__, found


TITLES = {
    "fused": "The linear layer", "lbfgs": "LBFGS", "linalg": "Linear algebra",
    "modes": "Recording", "rule": "Rules", "checking": "Checking", "engine": "Numbers",
    "nn": "Neurons", "init": "Initial values", "mlp": "Perceptrons",
    "net": "Networks of your own",
}  # fmt: skip


def title(module: str) -> str:
    """Name a file in words: 'Class losses'."""
    name = module.rpartition(".")[2].strip("_")
    return TITLES.get(name, name.replace("_", " ").capitalize())


def summary(value: Any) -> str:
    """Return the first paragraph of a docstring, in Markdown. A ufunc's begins with a signature."""
    paragraphs = (inspect.getdoc(value) or "").split("\n\n")
    text = paragraphs[isinstance(value, np.ufunc) and len(paragraphs) > 1]
    return " ".join(text.split()).replace("``", "`")


# -- the table of rules -----------------------------------------------------------------------

RULE_MODULES = (
    "elementwise", "rectifiers", "activations", "gaussian", "reductions", "softmax", "shape",
    "indexing", "products", "einsum", "linalg", "fused", "recurrent", "losses", "class_losses",
    "sparse", "convolution", "pooling", "normalization",
)  # fmt: skip


def rule_table(_: object = None) -> str:
    """Write every derivative rule, under the file that it stands in."""
    modules: dict[str, list[Rule]] = {}
    for rule in RULES.values():
        home = next(vjp for vjp in (*rule.vjps, rule.variadic) if vjp is not None).__module__
        if str(home).startswith("gradlite.autodiff.rules."):  # and not added elsewhere
            modules.setdefault(home, []).append(rule)
    order = list(RULE_MODULES)
    homes = sorted(modules, key=lambda home: order.index(home.rpartition(".")[2]))
    return "\n\n".join(rules_of(import_module(home), modules[home]) for home in homes)


def rules_of(module: ModuleType, rules: list[Rule]) -> str:
    """Write the rules of one file."""
    notes = comments(module)
    parts = [
        f"## {title(module.__name__)}",
        (module.__doc__ or "").replace("``", "`"),
        '<div class="rules">',
        *(entry(rule, notes.get(rule, "")) for rule in rules),
        "</div>",
    ]
    made = {
        function_name(fn) for fn, f in DECOMPOSITIONS.items() if f.__module__ == module.__name__
    }
    made -= {rule.name for rule in rules}  # some put their arguments in order for a rule above
    if made:
        parts.append("Composed of functions with rules, so they need none: " + listed(made))
    return "\n\n".join(parts)


def listed(names: set[str]) -> str:
    """List names, as code."""
    return ", ".join(f"`{name}`" for name in sorted(names)) + "."


def entry(rule: Rule, note: str) -> str:
    """Write one rule: what it is of, the formulas, and what is to say about them."""
    functions = [vjp for vjp in (*rule.vjps, rule.variadic) if vjp is not None]
    remarks = [part for vjp in functions for part in (inspect.getdoc(vjp) or "").split("\n\n")]
    written, mathematics = formulas(rule), entry_of(rule)
    words = [f"<p>{line}</p>" for line in explained(mathematics)] if mathematics else []
    return (
        f'<div class="rule" id="{rule.name}"><div><code>{call(rule)}</code>'
        f"<p>{as_html(summary(described(rule)))}</p>"
        f"{defined(mathematics) if mathematics else ''}</div>"
        f"<div>{''.join(formula.mathml for formula in written)}{''.join(words)}"
        f"{''.join(f'<p>{as_html(text)}</p>' for text in (*remarks, note) if text)}"
        f"{python(written)}</div></div>"
    )


def call(rule: Rule) -> str:
    """Write a function with the arguments that its rule knows."""
    if rule.variadic is not None:
        return f"{rule.name}(*{inspect.getfullargspec(rule.variadic).varargs})"
    vjp = next(vjp for vjp in rule.vjps if vjp is not None)
    names = [n for n in inspect.getfullargspec(vjp).args[2:] if n not in ("residuals", "out")]
    return f"{rule.name}({', '.join(names)})"


def described(rule: Rule) -> Any:
    """Find the function whose docstring says what a rule is the derivative of."""
    return next(fn for fn, known in RULES.items() if known is rule)


def as_html(text: str) -> str:
    """Write a paragraph of a docstring, or of Markdown, in HTML."""
    text = escape(" ".join(text.split())).replace("``", "`")
    return re.sub("`([^`]+)`", r"<code>\1</code>", text)


def python(written: list[Formula]) -> str:
    """Show the source of a rule, folded where formulas say the same."""
    sources = [re.sub(r'\n    """.*?"""', "", f.source, flags=re.S) for f in written]
    between = "\n\n" if any(s.startswith("def") for s in sources) else "\n"
    code = highlight(between.join(sources), PythonLexer(), HtmlFormatter())
    state = "" if all(f.mathml for f in written) else " open"
    return f"<details{state}><summary>Python</summary>{code}</details>"


def comments(module: ModuleType) -> dict[Rule, str]:
    """Find the comment above each ``defvjp``."""
    text = inspect.getsource(module)
    lines = text.splitlines()
    found = {}
    for node in ast.parse(text).body:
        match node:
            case ast.Expr(value=ast.Call(func=ast.Name(id="defvjp"), args=[fn, *_])):
                above = node.lineno - 1
                while lines[above - 1].startswith("# ") and "# --" not in lines[above - 1]:
                    above -= 1
                rule = RULES[eval(compile(ast.Expression(fn), "", "eval"), vars(module))]
                found[rule] = " ".join(line[2:] for line in lines[above : node.lineno - 1])
    return found


# -- the examples -----------------------------------------------------------------------------


def examples(_: object = None) -> str:
    """Show the scripts of examples/, each under the first line of its docstring."""
    pages = []
    for path in sorted((ROOT / "examples").glob("[0-9]*.py")):
        source = path.read_text(encoding="utf-8")
        heading, *rest = (ast.get_docstring(ast.parse(source)) or path.stem).splitlines()
        program = source.split('"""', 2)[2].strip()
        number = path.name.partition("_")[0]
        pages.append(
            f"## {number} {heading.rstrip('.')}\n\n" + "\n".join(rest).strip() + "\n\n"
            f'```python title="examples/{path.name}"\n{program}\n```\n'
        )
    return "\n".join(pages)


# -- the command line -------------------------------------------------------------------------


def command_help(name: str) -> str:
    """Show what a command says of itself."""
    root = click.Context(gradlite, info_name="gradlite", terminal_width=78)
    command = gradlite.get_command(root, name)
    context = click.Context(command, info_name=name, parent=root)
    return f"```console\n{command.get_help(context)}\n```"


SECTIONS: dict[str, Callable[..., str]] = {
    "reference": reference,
    "rules": rule_table,
    "examples": examples,
    "help": command_help,
    "pytorch": as_markdown,
}
