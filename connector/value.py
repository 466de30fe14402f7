"""Base class of configurations, requests, messages and prices: validation with sentences for the user."""

import json
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
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
        problems: dict[str, str] = {}
        try:
            value = handler(data)
        except ValidationError as error:
            for found in error.errors(include_input=False, include_url=False, include_context=False):
                name = str(found["loc"][0]) if found["loc"] else ""
                problems.setdefault(name, cls._sentence(name, found["type"], found["msg"]))
        # Raised outside of the `except` block, because `__context__` would carry the input.
        if problems:
            raise cls.invalid(problems)
        problems = value.problems()
        if problems:
            raise cls.invalid(problems)
        return value

    def problems(self) -> dict[str, str]:
        """Return what is wrong with the fields in combination: field -> sentence. Called when each field is valid."""
        return {}

    @classmethod
    def _sentence(cls, name: str, kind: str, message: str) -> str:
        field = cls.model_fields.get(name)
        if field is None:
            return f"There is no field “{name}”."
        title = field.title or name.replace("_", " ").capitalize()
        if kind == "missing":
            return f"{title} is required."
        if kind == "string_too_long" and field is not None:
            most = next((each.max_length for each in field.metadata if getattr(each, "max_length", None)), None)
            return f"{title}: at most {most} characters." if most else f"{title} is too long."
        if kind == "too_short":
            return f"{title}: enter at least one."
        if kind == "value_error":
            return message.removeprefix("Value error, ")
        return f"{title} must be {range_of(field)}."


def range_of(field: FieldInfo) -> str:
    """Return the accepted values in words: `a number from -2 to 2`, `a whole number of 1 or more`, `low or high`."""
    kinds = _kinds(field.annotation)
    if choices := [str(choice).lower() for choice in choices_of(field)]:
        listed = " or ".join([", ".join(choices[:-1]), choices[-1]])
        return f"a text such as {listed}" if str in kinds else listed
    if not {int, float} & set(kinds):
        return _FORMS.get(get_origin(kinds[0]) or kinds[0], "a value of another type")
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


_FORMS = {str: "a text", tuple: "a list", dict: "an object with names and values"}


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
    if value is None or value == ():
        return True
    try:
        # A text is only encoded, which is faster: nothing else can be wrong with it, and a chat may have hundreds.
        (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False)).encode()
    except ValueError:  # includes UnicodeEncodeError
        return False
    return True
