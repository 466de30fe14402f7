"""Base class of configurations, requests, messages and prices: validation with sentences for the user."""

import json
from collections.abc import Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo

from connector.errors import InvalidConfiguration, InvalidRequest


class Value(BaseModel):
    """A frozen pydantic model that raises `invalid` instead of pydantic's error.

    pydantic's own error contains the input, and with it the key, in `errors()` and `json()`. It never leaves
    this class.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    invalid: ClassVar[type[InvalidConfiguration] | type[InvalidRequest]]

    @model_validator(mode="wrap")
    @classmethod
    def _validated(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        found: dict[str, list[Mapping[str, Any]]] = {}
        try:
            value = handler(data)
        except ValidationError as error:
            for each in error.errors(include_input=False, include_url=False):
                found.setdefault(str(each["loc"][0]) if each["loc"] else "", []).append(each)
        # Raised outside of the `except` block, because `__context__` would carry the input.
        problems = {name: cls._sentence(name, _most_precise(errors)) for name, errors in found.items()}
        if problems:
            raise cls.invalid(problems)
        problems = value.problems()
        if problems:
            raise cls.invalid(problems)
        return value

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """Return the value that this JSON describes. Raises `invalid`, also for broken JSON."""
        try:
            return super().model_validate_json(json_data, **options)
        except ValidationError:  # pydantic's own error for broken JSON, which contains it
            pass
        raise cls.invalid({"json": "This is not valid JSON."})

    def problems(self) -> dict[str, str]:
        """Return what is wrong with the fields in combination: field -> sentence. Called when each field is valid."""
        return {}

    @classmethod
    def _sentence(cls, name: str, error: Mapping[str, Any]) -> str:
        field, kind = cls.model_fields.get(name), error["type"]
        if field is None:
            return f"There is no field “{name}”." if name else f"{cls.__name__} must be an object with named fields."
        title = field.title or name.replace("_", " ").capitalize()
        if kind == "missing":
            return f"{title} is required."
        if kind == "value_error":
            return str(error["msg"]).removeprefix("Value error, ")
        if place := _place_in(field, error["loc"][1:]):
            needs = f"must be {_NEEDS[kind]}" if kind in _NEEDS else error["msg"].partition(" ")[2]
            return f"{title}: {place} {needs}."
        if kind in _LENGTHS:
            return f"{title}: {_LENGTHS[kind].format(**error['ctx'])}."
        return f"{title} must be {range_of(field)}."


_NEEDS = {
    "string_type": "a text",
    "int_type": "a whole number",
    "dict_type": "an object with names and values",
    "invalid-json-value": "a value that JSON has",
}
_LENGTHS = {
    "too_short": "enter at least one",
    "too_long": "at most {max_length} entries",
    "string_too_short": "enter a text",
    "string_too_long": "at most {max_length} characters",
}


# Of the errors for several types. Where any text is accepted, the known texts are only suggestions.
_PRECISION = {"literal_error": 0, "string_type": 1, "dict_type": 1, "tuple_type": 1}


def _most_precise(errors: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Of the errors for a field with several types, return that of the type which the input was meant to have."""
    return max(errors, key=lambda error: (len(error["loc"]), _PRECISION.get(error["type"], 2)))


def _place_in(field: FieldInfo, steps: tuple[int | str, ...]) -> str:
    """Return which part of a list or an object is wrong; empty for the whole."""
    if len(_kinds(field.annotation)) > 1:
        steps = steps[1:]  # the first is the type that pydantic tried
    if not steps:
        return ""
    if "[key]" in steps:
        return "each name"
    return f"item {steps[0] + 1}" if isinstance(steps[0], int) else f"“{steps[0]}”"


def range_of(field: FieldInfo) -> str:
    """Return the accepted values in words: `a number from -2 to 2`, `a whole number of 1 or more`, `low or high`."""
    kinds = _kinds(field.annotation)
    if choices := [str(choice).lower() for choice in choices_of(field)]:
        listed = " or ".join([", ".join(choices[:-1]), choices[-1]])
        return f"a text such as {listed}" if str in kinds else listed
    if not {int, float} & set(kinds):
        return " or ".join(dict.fromkeys(_form_of(kind) for kind in kinds))
    kind = "a whole number" if int in kinds else "a number"
    least, most = bounds_of(field)
    if least is not None and most is not None:
        return f"{kind} from {least:g} to {most:g}"
    return kind if least is None else f"{kind} of {least:g} or more"


def choices_of(field: FieldInfo) -> tuple[str | bool, ...]:
    """Return the known values of a field with a few choices, including true and false; empty for other fields.

    A field for texts accepts other texts, too.
    """
    kinds = _kinds(field.annotation)
    if bool in kinds:
        return (True, False)
    return tuple(choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind))


_FORMS = {str: "a text", SecretStr: "a text", tuple: "a list", dict: "an object with names and values"}


def _form_of(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, Enum):
        *most, last = (str(each.value) for each in kind)
        return " or ".join([", ".join(most), last])
    return _FORMS.get(get_origin(kind) or kind, "a value of another type")


def _kinds(annotation: Any) -> list[Any]:
    """Return the types that a field accepts, without None and without annotations."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [kind for each in get_args(annotation) for kind in _kinds(each) if kind is not NoneType]
    return [annotation]


def bounds_of(field: FieldInfo) -> tuple[float | None, float | None]:
    """Return the minimum and the maximum of a number field; None where there is no bound."""
    least = next((float(each.ge) for each in field.metadata if hasattr(each, "ge")), None)
    most = next((float(each.le) for each in field.metadata if hasattr(each, "le")), None)
    return least, most


def is_sendable(value: object) -> bool:
    """Whether the value can be sent as JSON: it contains no invalid character and no invalid number."""
    if not value:
        return True
    try:
        # A text is only encoded, which is faster: nothing else can be wrong with it, and a chat may have hundreds.
        (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False)).encode()
    except ValueError:  # includes UnicodeEncodeError
        return False
    return True
