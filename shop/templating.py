"""Templates: what never changes in them is worked out once, when they are compiled, and not on every page.

A page calls `_("…")`, `icon("…")` and `static_url("…")` some hundred times with constant words. The environment below
replaces such a call by its result while it compiles the template, so that it costs a page nothing.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from flask import Flask
from flask.templating import Environment
from jinja2 import StrictUndefined, Template, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context, new_context
from jinja2.visitor import NodeTransformer
from markupsafe import Markup, _escape_inner, escape  # type: ignore[attr-defined]

from shop.words import gettext, ngettext

Fold = Callable[..., Any]


class _Folding(NodeTransformer):
    """Replaces calls of pure functions with constant arguments by their results, and of others of ours by calls without a
    detour: their names are not looked for in the page's context."""

    def __init__(self, folded: Mapping[str, Fold], direct: Mapping[str, Fold]) -> None:
        self.folded, self.direct = folded, direct

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802 — Jinja's name
        self.generic_visit(node)
        name = node.node.name if isinstance(node.node, nodes.Name) else ""
        if name not in self.direct or node.dyn_args or node.dyn_kwargs:
            return node
        constant = all(isinstance(arg, nodes.Const) for arg in node.args) and all(
            isinstance(pair.value, nodes.Const) for pair in node.kwargs
        )
        if name not in self.folded or not constant:
            node.node = nodes.EnvironmentAttribute(f"direct[{name!r}]", lineno=node.lineno)
            return node
        values = [arg.value for arg in node.args if isinstance(arg, nodes.Const)]
        named = {pair.key: pair.value.value for pair in node.kwargs if isinstance(pair.value, nodes.Const)}
        return nodes.Const(self.folded[name](*values, **named), lineno=node.lineno)


def written(value: Any) -> str:
    """How a value is written into a page: as `markupsafe.escape` does it, at a tenth of its cost for words and numbers."""
    kind = type(value)
    if kind is str:
        return _escape_inner(value)  # what `escape` calls, before it wraps the words into a `Markup`
    if kind is Markup:
        return value  # type: ignore[no-any-return]
    return str(value) if kind is int else escape(value)


class _Writer(CodeGenerator):
    """Compiles templates so that values are escaped by `written`, and functions of ours called without a detour."""

    environment: "FoldingEnvironment"
    macros: frozenset[str] = frozenset()
    """The macros that the template imports."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802
        imported = [name for found in node.find_all(nodes.FromImport) for name in found.names]
        self.macros = frozenset(name[1] if isinstance(name, tuple) else name for name in imported)
        super().visit_Template(node, frame)

    def visit_Call(self, node: nodes.Call, frame: Frame, forward_caller: bool = False) -> None:  # noqa: N802
        name = node.node.name if isinstance(node.node, nodes.Name) and self.escapes(frame) else ""
        if isinstance(node.node, nodes.EnvironmentAttribute):
            self.visit(node.node, frame)
            self.write("(")
            for arg in node.args:
                self.visit(arg, frame)
                self.write(", ")
            for pair in node.kwargs:
                self.write(f"{pair.key}=")
                self.visit(pair.value, frame)
                self.write(", ")
            self.write(")")
        elif name in self.macros:
            # What the context's own `call` comes to for a macro, which it looks for in many ways first.
            self.visit(node.node, frame)
            self.write("(context.eval_ctx")
            self.signature(node, frame, {"caller": "caller"} if forward_caller else None)
            self.write(")")
        else:
            super().visit_Call(node, frame, forward_caller=forward_caller)

    def blockvisit(self, body: Iterable[nodes.Node], frame: Frame) -> None:
        """A block is handed up in one piece, not word by word through every template that it is a block of."""
        if frame.block_frame and frame.buffer is None:
            self.buffer(frame)
            super().blockvisit(body, frame)
            self.writeline(f"yield concat({frame.buffer})")
            frame.buffer = None
        else:
            super().blockvisit(body, frame)

    def escapes(self, frame: Frame) -> bool:
        return frame.eval_ctx.autoescape and not frame.eval_ctx.volatile

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        if self.escapes(frame) and finalize.src is None:
            self.write("environment.written(")
        else:
            super()._output_child_pre(node, frame, finalize)


class _Template(Template):
    """A template whose macros are made once: no page gives a template globals of its own, and they need not be looked for in
    two places."""

    def new_context(
        self,
        vars: dict[str, Any] | None = None,  # noqa: A002 (Jinja's names)
        shared: bool = False,
        locals: Mapping[str, Any] | None = None,  # noqa: A002
    ) -> Context:
        """What the template finds by its names."""
        shared_by_all = self.environment.globals
        return new_context(self.environment, self.name, self.blocks, vars, shared, shared_by_all, locals)

    def _get_default_module(self, ctx: Any = None) -> Any:
        return super()._get_default_module()


class FoldingEnvironment(Environment):
    """Flask's environment, with constant calls of the functions in `folded` worked out at compile time."""

    folded: Mapping[str, Fold] = {}
    direct: Mapping[str, Fold] = {}
    """The functions that need nothing of the page's context: those in `folded`, and more."""
    written = staticmethod(written)
    code_generator_class = _Writer
    template_class = _Template

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        escaped = self.autoescape(name) if callable(self.autoescape) else self.autoescape
        if not escaped:
            # Letters in plain text have no markup and no icons; their words are translated as they are written.
            return tree
        folding: nodes.Template = _Folding(self.folded, self.direct).visit(tree)
        return folding


def _words(message: str, /, **facts: object) -> Markup:
    """What Jinja's own `_` makes of a message: our words are markup, the facts in them are escaped.

    A lone "%" in a message without facts stays as it is.
    """
    words = gettext(message)
    return Markup(words % {key: written(value) for key, value in facts.items()} if facts else words)  # noqa: S704


def filled_rows(rows: Iterable[tuple[str, str, str, str]], one: str, other: str) -> Markup:
    """Rows of a page, each of two pieces that templates wrote and two texts, which come in place of the marks `one` and
    `other` in the second piece; they are escaped."""
    return Markup(  # noqa: S704
        "".join(
            [
                begun + piece.replace(one, written(first)).replace(other, written(second))
                for begun, piece, first, second in rows
            ]
        )
    )


def init_templates(app: Flask, static: Path, more: Mapping[str, Fold]) -> None:
    """Give the templates their words, icons, addresses of static files, and `more` functions that need nothing of a page."""

    @cache
    def static_url(name: str) -> str:
        """The address of a file in static/, which changes with its content: browsers may keep it for good."""
        return f"/static/{name}?v={hashlib.sha256((static / name).read_bytes()).hexdigest()[:10]}"

    def static_path(name: str) -> str:
        """The same without what changes: as style sheets name what they load."""
        return f"/static/{name}"

    @cache
    def icon(name: str, words: str | None = None, class_: str = "") -> Markup:
        """One icon of the sprite. Without words it is decoration; `words` gives it a name."""
        label = Markup('role="img" aria-label="{}"').format(words) if words else Markup('aria-hidden="true"')
        return Markup('<svg class="{}" {}><use href="{}#{}"></use></svg>').format(
            f"icon {class_}".strip(), label, static_url("icons.svg"), name
        )

    paths = app.url_map.bind("")

    @lru_cache(maxsize=4096)
    def path_to(endpoint: str, **values: str | int | None) -> str:
        return paths.build(endpoint, values)

    def url_for(endpoint: str, **values: Any) -> str:
        """The path of a page. Remembered, because the same few are written on every page."""
        try:
            return path_to(endpoint, **values)
        except TypeError:  # a list among the values
            return paths.build(endpoint, values)

    environment = app.jinja_env
    if not isinstance(environment, FoldingEnvironment):
        raise TypeError("the application's jinja_environment is FoldingEnvironment")
    environment.folded = {"_": _words, "icon": icon, "static_url": static_url, "static_path": static_path}
    environment.direct = {**environment.folded, "url_for": url_for, **more}
    environment.undefined = StrictUndefined
    environment.trim_blocks = True
    environment.lstrip_blocks = True
    environment.add_extension("jinja2.ext.i18n")
    environment.add_extension("jinja2.ext.do")
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        gettext=gettext, ngettext=ngettext, newstyle=True
    )
    environment.policies["ext.i18n.trimmed"] = True
    # `_` is what `install_gettext_callables` made it, for texts without markup.
    environment.globals.update({name: call for name, call in environment.direct.items() if name != "_"})
