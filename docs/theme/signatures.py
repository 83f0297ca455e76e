"""Extension of griffe: signatures that are derived from annotated fields.

griffe reads the source without running it. It finds no parameters in models,
typed dictionaries and operations, nor in methods such as
`create = operation_method(CreateFile)`.
"""

import griffe

METHODS = {
    "operation_method": "{response}",
    "paged": "AsyncPaginator[{item}]",
    "streamed": "AbstractAsyncContextManager[Stream[{response}, {event}]]",
}
"""Return types of methods created by `tunesmith.resources.base`."""


class Signatures(griffe.Extension):
    """Add the signatures once all modules of the package are loaded."""

    def on_package(self, *, pkg, loader, **_):
        """Add the signatures of a package's classes."""
        for cls in list(_classes(pkg)):
            if "__init__" not in cls.members and _has_parameters(cls):
                init = _function("__init__", cls, _fields(cls))
                cls.set_member("__init__", init)
            for attribute in list(_attributes(cls)):
                if method := _method(attribute, loader.modules_collection):
                    cls.set_member(attribute.name, method)


def _classes(parent):
    for member in parent.members.values():
        if not member.is_alias and (member.is_class or member.is_module):
            if member.is_class:
                yield member
            yield from _classes(member)


def _attributes(cls):
    return (m for m in cls.members.values() if m.is_attribute)


def _has_parameters(cls):
    if cls.docstring is None:
        return False
    sections = cls.docstring.parse("google", warnings=False)
    kind = griffe.DocstringSectionKind.parameters
    return any(section.kind is kind for section in sections)


def _fields(cls):
    """Return the fields of a class and its bases, in the order of a call."""
    fields = {}
    for owner in (cls, *cls.mro()):
        keyword_only = False
        for member in _attributes(owner):
            if str(member.annotation) == "KW_ONLY":
                keyword_only = True
            elif _is_field(member):
                field = _parameter(member, keyword_only=keyword_only)
                fields.setdefault(member.name, field)
    kind = griffe.ParameterKind.keyword_only
    return sorted(fields.values(), key=lambda field: field.kind is kind)


def _is_field(member):
    is_annotated = member.annotation is not None
    is_instance_attribute = "instance-attribute" in member.labels
    is_public = not member.name.startswith("_")
    return is_annotated and is_instance_attribute and is_public


def _parameter(member, *, keyword_only):
    options = {"default": member.value}
    if isinstance(member.value, griffe.ExprCall):  # field(default=None, …)
        arguments = member.value.arguments
        named = (a for a in arguments if isinstance(a, griffe.ExprKeyword))
        options = {argument.name: argument.value for argument in named}
        keyword_only = keyword_only or options.get("kw_only") == "True"
    kinds = griffe.ParameterKind
    return griffe.Parameter(
        member.name,
        annotation=_plain(member.annotation),
        kind=kinds.keyword_only
        if keyword_only
        else kinds.positional_or_keyword,
        default=options.get("default"),
    )


def _plain(annotation):
    """Return an annotation without limits, as in `Annotated[int, Ge(1)]`."""
    if isinstance(annotation, griffe.ExprBinOp):
        left, right = _plain(annotation.left), _plain(annotation.right)
        return griffe.ExprBinOp(left, annotation.operator, right)
    if (
        isinstance(annotation, griffe.ExprSubscript)
        and annotation.canonical_path == "typing.Annotated"
    ):
        return annotation.slice.elements[0]
    return annotation


def _function(name, parent, parameters, **details):
    kind = griffe.ParameterKind.positional_or_keyword
    this = griffe.Parameter("self", kind=kind)
    return griffe.Function(
        name,
        parameters=griffe.Parameters(this, *parameters),
        parent=parent,
        **details,
    )


def _method(attribute, modules):
    """Return the method that an attribute creates from an operation, if any."""
    call = attribute.value
    if not isinstance(call, griffe.ExprCall):
        return None
    factory = str(call.function)
    if factory not in METHODS:
        return None
    operation = modules[call.arguments[0].canonical_path]
    # The types in `class ListFiles(Operation[Page[FileObject]])`.
    types = operation.bases[0].slice
    is_tuple = isinstance(types, griffe.ExprTuple)
    response, event = types.elements if is_tuple else (types, None)
    method = _function(
        attribute.name,
        attribute.parent,
        _fields(operation),
        returns=METHODS[factory].format(
            response=response, event=event, item=getattr(response, "slice", "")
        ),
        docstring=_docstring(operation),
        lineno=attribute.lineno,
    )
    if factory == "operation_method":
        method.labels.add("async")
    return method


def _docstring(operation):
    """Return an operation's docstring, with its name, request and class."""
    arguments = operation.decorators[0].value.arguments[:3]
    name, verb, path = (str(argument).strip("'") for argument in arguments)
    text, _, source = operation.docstring.value.partition("\n\nSource: ")
    facts = [f"`{verb} {path}`", f"`{operation.path}`"]
    if source:
        facts.append(f"[API reference]({source})")
    return griffe.Docstring(
        f"{text}\n\nOperation `{name}`: {', '.join(facts)}.",
        lineno=operation.docstring.lineno,
        parser=griffe.Parser.google,
    )
