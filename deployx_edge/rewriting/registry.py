"""Who rewrites what: the entries of rewriters, and the choice among them for one export."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from deployx_edge.errors import UsageError

EXPORTERS = ("dynamo", "torchscript")
DESCRIPTORS = ("tensor", "int", "ints", "float", "floats", "bool", "string", "none", "any")
_OPERATORS = "torch.ops."

Code = TypeVar("Code", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class RewriteRequest:
    """What an export is for.

    ``runtime`` is what the model is meant to run in ("ncnn"; None: no special one),
    ``intermediate`` the format on the way there, ``exporter`` one of EXPORTERS, ``config``
    the user's own settings, which rewriters find as ``context.config``.
    """

    runtime: str | None = None
    intermediate: str = "onnx"
    exporter: str = "dynamo"
    config: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.exporter not in EXPORTERS:
            raise UsageError(f"The exporter is {' or '.join(EXPORTERS)}, not '{self.exporter}'.")


@dataclass(frozen=True, kw_only=True)
class RewriterContext:
    """What every rewriter is told of the export that it takes part in, see RewriteRequest."""

    runtime: str | None
    intermediate: str
    exporter: str
    config: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Rewriter:
    """One entry: ``code`` stands in for what ``path`` names.

    ``kind`` is "function", "module" or "symbolic". ``runtime`` and ``intermediate`` None: for
    any. ``requires``: versions of a library for which it is meant, like "torch>=2.6,<3".
    ``optional``: ``path`` may be missing. ``inputs``: a symbolic rewriter's descriptors.
    """

    kind: str
    path: str
    code: Callable[..., Any]
    runtime: str | None = None
    intermediate: str | None = None
    requires: str = ""
    optional: bool = False
    inputs: tuple[str, ...] | None = None

    @property
    def key(self) -> tuple[str, str, str | None, str | None, str]:
        """What may be registered only once."""
        return self.kind, self.path, self.runtime, self.intermediate, self.requires

    @property
    def where(self) -> str:
        """The place in the author's file, as ``file.py:12``."""
        try:
            code = inspect.unwrap(self.code)
            return f"{inspect.getsourcefile(code)}:{inspect.getsourcelines(code)[1]}"
        except (OSError, TypeError):  # typed in by hand, or built in
            return "no file"

    def fits(self, request: RewriteRequest) -> bool:
        """Whether it may be chosen for that request."""
        return (
            self.runtime in (None, request.runtime)
            and self.intermediate in (None, request.intermediate)
            and _is_met(self.requires)
        )

    @property
    def rank(self) -> tuple[bool, bool, bool]:
        """How much it says of what it is for; of two that fit, the one that says more wins."""
        return self.runtime is not None, self.intermediate is not None, bool(self.requires)


class Registry:
    """A set of rewriters. The decorators of this package write to one for all; tests make theirs.

    The decorators take: ``path``, the dotted path of what is rewritten; ``runtime`` and
    ``intermediate``, None for any; ``requires``, versions of a library ("torch>=2.6,<3");
    ``optional``, whether ``path`` may be missing; ``replace``, whether an entry for the same
    may be replaced. They give back what they decorate. Raises UsageError for a second entry.
    """

    def __init__(self) -> None:
        self._rewriters: dict[tuple[str | None, ...], Rewriter] = {}

    def __len__(self) -> int:
        return len(self._rewriters)

    def add(self, rewriter: Rewriter, *, replace: bool = False) -> None:
        """Take up an entry; UsageError for a second one of the same key."""
        _check(rewriter)
        present = self._rewriters.get(rewriter.key)
        if present is not None and not replace:
            raise UsageError(
                f"'{rewriter.path}' has a {rewriter.kind} rewriter for "
                f"{rewriter.runtime or 'any runtime'} already ({present.where}); "
                f"a second one is at {rewriter.where}.",
                remedy="Say replace=True, or another runtime=, intermediate= or requires=.",
            )
        self._rewriters[rewriter.key] = rewriter

    def chosen(self, request: RewriteRequest) -> tuple[Rewriter, ...]:
        """For each thing that is rewritten, the one rewriter that fits the request best.

        Raises UsageError where two fit equally well.
        """
        groups: dict[tuple[str, str], list[Rewriter]] = {}
        for rewriter in self._rewriters.values():
            if rewriter.fits(request):
                groups.setdefault((rewriter.kind, rewriter.path), []).append(rewriter)
        return tuple(_best(group) for group in groups.values())

    def function_rewriter(
        self,
        path: str,
        *,
        runtime: str | None = None,
        intermediate: str | None = None,
        requires: str = "",
        optional: bool = False,
        replace: bool = False,
    ) -> Callable[[Code], Code]:
        """Let ``code(context, *args, **kwargs)`` stand in for a function or method.

        ``context`` is a FunctionContext; the arguments are the caller's (a method's begin with
        ``self``). The options are Registry's.
        """
        return self._decorator(
            replace,
            kind="function",
            path=path,
            runtime=runtime,
            intermediate=intermediate,
            requires=requires,
            optional=optional,
        )

    def module_rewriter(
        self,
        path: str,
        *,
        runtime: str | None = None,
        intermediate: str | None = None,
        requires: str = "",
        optional: bool = False,
        replace: bool = False,
    ) -> Callable[[Code], Code]:
        """Let ``code(module, context)`` give the module that stands in for one of that class.

        Instances of exactly the class are replaced, those of subclasses are not. ``context``
        is a RewriterContext. The options are Registry's.
        """
        return self._decorator(
            replace,
            kind="module",
            path=path,
            runtime=runtime,
            intermediate=intermediate,
            requires=requires,
            optional=optional,
        )

    def symbolic_rewriter(
        self,
        path: str,
        *,
        inputs: Sequence[str] | None = None,
        runtime: str | None = None,
        intermediate: str | None = None,
        requires: str = "",
        optional: bool = False,
        replace: bool = False,
    ) -> Callable[[Code], Code]:
        """Let ``code(graph, *arguments)`` write the nodes that something becomes in ONNX.

        ``path`` names an autograd.Function, a function or method, or an operator of torch
        ("aten::gelu"). ``inputs`` says for each argument what it must be, one of DESCRIPTORS;
        None takes them as they come. ``graph`` is a Graph. The options are Registry's.
        """
        if path.startswith(_OPERATORS):  # one name for one thing
            path = path.removeprefix(_OPERATORS).replace(".", "::", 1)
        return self._decorator(
            replace,
            kind="symbolic",
            path=path,
            runtime=runtime,
            intermediate=intermediate,
            requires=requires,
            optional=optional,
            inputs=None if inputs is None else tuple(inputs),
        )

    def _decorator(self, replace: bool, **fields: Any) -> Callable[[Code], Code]:
        def register(code: Code) -> Code:
            self.add(Rewriter(code=code, **fields), replace=replace)
            return code

        return register


def _check(rewriter: Rewriter) -> None:
    for descriptor in rewriter.inputs or ():
        if descriptor not in DESCRIPTORS:
            raise UsageError(
                f"The symbolic rewriter of '{rewriter.path}' ({rewriter.where}) describes an "
                f"argument as '{descriptor}'.",
                remedy=f"Use {', '.join(DESCRIPTORS)}.",
            )
    _is_met(rewriter.requires)


def _is_met(requires: str) -> bool:
    """Whether the library is there in one of the versions; UsageError where it says nonsense."""
    if not requires:
        return True
    from importlib import metadata

    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(requires)
    except InvalidRequirement as error:
        raise UsageError(
            f"requires='{requires}' does not name versions of a library.",
            remedy='Write it like requires="torch>=2.6,<3".',
        ) from error
    try:
        found = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(found, prereleases=True)


def _best(rewriters: Sequence[Rewriter]) -> Rewriter:
    highest = max(rewriter.rank for rewriter in rewriters)
    best = [rewriter for rewriter in rewriters if rewriter.rank == highest]
    if len(best) > 1:
        raise UsageError(
            f"Two {best[0].kind} rewriters of '{best[0].path}' fit equally well: "
            f"{best[0].where} (requires='{best[0].requires}') and "
            f"{best[1].where} (requires='{best[1].requires}').",
            remedy="Let their requires= exclude each other.",
        )
    return best[0]


# What the decorators of this package write to.
DEFAULT = Registry()
