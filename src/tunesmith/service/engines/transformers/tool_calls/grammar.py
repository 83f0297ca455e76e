"""Grammars of texts for llguidance: JSON, and free text with calls that fit their schemas."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tunesmith._json_types import is_list
from tunesmith.service.engines.base import EngineError
from tunesmith.service.engines.generation import GenerationSpec
from tunesmith.service.engines.transformers.tool_calls.format import (
    ID_SLOT,
    TaggedArguments,
    ToolCallFormat,
)
from tunesmith.service.engines.transformers.tool_calls.schemas import (
    argument_schemas,
    check_schema,
    parameters_of,
    value_types,
)

__all__ = ["write_grammar"]

Schema = Mapping[str, Any]
Split = Callable[[str], Sequence[str | int]]

_ANY = r"/(.|\n)*/"


def write_grammar(
    spec: GenerationSpec,
    call_format: ToolCallFormat | None,
    split: Split,
    special_ids: frozenset[int],
) -> str | None:
    """Return the grammar of a text; None if any text is allowed.

    Args:
        spec: The JSON schema and the tool calls of the request.
        call_format: Spelling of tool calls.
        split: Function that splits a text into texts and ids of special tokens.
        special_ids: Special tokens that may be in a text.

    Raises:
        EngineError: A schema has a feature that is not supported.
    """
    if spec.json_schema is not None:
        check_schema(spec.json_schema, "response_format", "response_format")
    if spec.tool_calls is None:
        return None if spec.json_schema is None else f"start: {_json(spec.json_schema)}\n"
    if call_format is None:
        raise EngineError("the model's chat template does not write tool calls", "tools")
    return _CallGrammar(spec, call_format, split, special_ids).write()


def _json(schema: Schema) -> str:
    return f"%json {json.dumps(schema)}"


class _CallGrammar:
    def __init__(
        self,
        spec: GenerationSpec,
        call_format: ToolCallFormat,
        split: Split,
        special_ids: frozenset[int],
    ) -> None:
        assert spec.tool_calls is not None  # noqa: S101 - the caller's condition
        self._calls = spec.tool_calls
        self._format = call_format
        self._split = split
        self._markers = {part for part in split(call_format.opening) if isinstance(part, int)}
        tag = {part for part in split(call_format.tag) if isinstance(part, int)}
        self._special = sorted(special_ids - self._markers - tag)
        self._schema = spec.json_schema
        self._rules: list[str] = []

    def write(self) -> str:
        """Return the grammar."""
        id_chars = "[a-zA-Z0-9]{9}" if self._format.fields.has_short_ids else "[a-zA-Z0-9_-]{1,64}"
        self._rules += ["%llguidance {}", f"ID: /{id_chars}/", f"TEXT: {_ANY}"]
        if self._special:
            self._rules.append(f"special: <[{','.join(map(str, self._special))}]>")
        self._rules.append(f"start: {' | '.join(self._alternatives())}")
        return "\n".join(self._rules) + "\n"

    def _alternatives(self) -> list[str]:
        """Return the texts that are allowed."""
        call_format = self._format
        is_free = self._schema is None and (call_format.gap is not None or bool(call_format.prefix))
        if not self._calls.functions:
            return [self._content(is_free)]
        self._add_calls()
        if not is_free or self._calls.is_required:
            before = [
                f"({self._literal(text)})?"
                for text in (call_format.prefix, call_format.tag)
                if text
            ]
            call = " ".join([*before, self._literal(call_format.opening), "calls"])
            return [call] if self._calls.is_required else [self._content(is_free), call]
        # Calls follow any text: the first of them begins where their opening does.
        first, *rest = self._split(call_format.opening.lstrip())
        if isinstance(first, str):
            self._rules.append(f"opening[lazy]: TEXT {json.dumps(first)}")
            text = "(TEXT special)* opening" if self._special else "opening"
        else:
            text = f"{self._repeated('TEXT')} <[{first}]>"
        return [self._repeated("TEXT"), f"{text} {self._parts(rest)} calls"]

    def _content(self, is_free: bool) -> str:
        """Return JSON of the schema, or a text without a call."""
        if self._schema is not None:
            return _json(self._schema)
        if self._markers:
            return self._repeated("TEXT")
        opening = self._literal(self._format.opening)
        if is_free:
            self._rules.append(f"NO_CALL: {_ANY} & ~({_ANY} {opening} {_ANY})")
            return self._repeated("NO_CALL")
        self._rules.append(f"NO_CALL: {_ANY} & ~({opening} {_ANY})")
        return "NO_CALL" + (" (special TEXT)*" if self._special else "")

    def _repeated(self, terminal: str) -> str:
        return f"{terminal} (special {terminal})*" if self._special else terminal

    def _add_calls(self) -> None:
        """Add the rule of the calls of a turn, after the opening."""
        call_format, tagged = self._format, self._format.tagged
        calls: list[str] = []
        tails = [(call_format.closing, call_format.between)]
        if tagged is None:
            bodies = [self._json_calls()]
        else:
            end = len(tagged.end)
            tails = [(call_format.closing[end:], call_format.between and call_format.between[end:])]
            tails.append((tagged.empty_closing, tagged.empty_between))
            bodies = self._tagged_calls(tagged)
        for number, (body, (closing, between)) in enumerate(zip(bodies, tails, strict=True)):
            if not body:
                continue
            self._rules.append(f"call_{number}: {' | '.join(body)}")
            calls.append(f"call_{number} {self._literal(closing)}")
            if between and self._calls.is_parallel:
                calls.append(f"call_{number} {self._literal(between)} calls")
        self._rules.append(f"calls: {' | '.join(calls)}")

    def _json_calls(self) -> list[str]:
        calls: list[str] = []
        for function in self._calls.functions:
            schema = parameters_of(function)
            check_schema(schema, f"function '{function['name']}'", "tools")
            head = self._literal(function["name"] + self._format.separator)
            calls.append(f"{head} {_json(schema)}")
        return calls

    def _tagged_calls(self, tagged: TaggedArguments) -> list[list[str]]:
        """Return the calls with arguments, and those without."""
        full: list[str] = []
        bare: list[str] = []
        self._add_raw_text(tagged)
        for number, function in enumerate(self._calls.functions):
            parameters = parameters_of(function)
            required: Sequence[str] = parameters.get("required") or ()
            arguments = argument_schemas(parameters)
            if not set(required) & set(arguments):
                bare.append(self._literal(function["name"]))
            if not arguments:
                continue
            full.append(f"{self._literal(function['name'])} first_{number}_0")
            self._add_arguments(number, tagged, function["name"], arguments, required)
        return [full, bare]

    def _add_arguments(
        self,
        number: int,
        tagged: TaggedArguments,
        function: str,
        arguments: Mapping[str, Schema],
        required: Sequence[str],
    ) -> None:
        """Add the rules of the arguments of a function, in the order of their schema.

        The rule `first_N_I` has the arguments from I on if none came before, `next_N_I` those if
        one did.
        """
        n_arguments = len(arguments)
        for index, (name, schema) in enumerate(arguments.items(), 1):
            value = self._value(tagged, schema, f"argument '{name}' of function '{function}'")
            is_last = index == n_arguments
            rest = "" if is_last else f"next_{number}_{index}"
            argument = f"{self._literal(name + tagged.equals)} {value} {rest}"
            kinds = {"first": tagged.first, "next": tagged.next[len(tagged.end) :]}
            for kind, before in kinds.items():
                options = [f"{self._literal(before)} {argument}"]
                if name not in required:
                    options += [f"{kind}_{number}_{index}"] if not is_last else []
                    options += ['""'] if is_last and kind == "next" else []
                self._rules.append(f"{kind}_{number}_{index - 1}: {' | '.join(options)}")

    def _add_raw_text(self, tagged: TaggedArguments) -> None:
        """Add the rule of texts without quotes, which the text after them ends."""
        first, *rest = self._split(tagged.quotes[1] + tagged.end)
        if isinstance(first, str):
            self._rules.append(f"raw_end[lazy]: TEXT {json.dumps(first)}")
            self._rules.append(f"raw: raw_end {self._parts(rest)}")
        else:
            self._rules.append(f"raw: TEXT {self._parts([first, *rest])}")

    def _value(self, tagged: TaggedArguments, schema: Schema, subject: str) -> str:
        """Return the values of an argument, with the text that ends them."""
        check_schema(schema, subject, "tools")
        types = value_types(schema)
        end = self._literal(tagged.end)
        opening, closing = map(self._literal, tagged.quotes)
        if "string" in types:
            texts: Any = schema.get("enum", [schema["const"]] if "const" in schema else None)
            if len(types) > 1 or not is_list(texts):
                return f"{opening} raw"
            choices = " | ".join(self._literal(str(text)) or '""' for text in texts)
            return f"{opening} ({choices}) {closing} {end}"
        if types & {"array", "object"} and not tagged.can_nest:
            raise EngineError(
                f"Invalid schema for {subject}: the model's chat template does not write lists "
                "and objects as arguments.",
                "tools",
            )
        kinds = {"boolean": (True, False), "null": (None,)}
        spelled = {value: text for text, value in tagged.constants.items()}
        options = [
            self._literal(spelled[value])
            for kind in sorted(types & kinds.keys())
            for value in kinds[kind]
        ]
        others = sorted(types - kinds.keys())
        if others:
            options.append(_json({**schema, "type": others}))
        return f"({' | '.join(options)}) {end}"

    def _literal(self, text: str) -> str:
        return self._parts(self._split(text))

    def _parts(self, parts: Sequence[str | int]) -> str:
        """Return parts of a text in the syntax of grammars."""
        symbols: list[str] = []
        for part in parts:
            if isinstance(part, int):
                symbols.append(f"<[{part}]>")
                continue
            before, *after = part.split(ID_SLOT)
            symbols.append(json.dumps(before))
            for text in after:
                symbols += ["ID", json.dumps(text)]
        return " ".join(symbol for symbol in symbols if symbol != '""')
