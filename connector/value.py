"""What `Configuration` and `ChatCompletionsRequest` have in common: they check themselves and say it in sentences."""

import json
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic.fields import FieldInfo

from connector.errors import InvalidConfiguration, InvalidRequest


class Value(BaseModel):
    """A frozen pydantic model that raises `invalid` instead of pydantic's error.

    pydantic's own error keeps the input, and with it the key, in `errors()` and `json()`; it never leaves this class.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    invalid: ClassVar[type[InvalidConfiguration] | type[InvalidRequest]]

    @model_validator(mode="wrap")
    @classmethod
    def _tell(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        problems: dict[str, str] = {}
        try:
            value = handler(data)
        except ValidationError as error:
            for found in error.errors(include_input=False, include_url=False, include_context=False):
                name = str(found["loc"][0]) if found["loc"] else ""
                problems.setdefault(name, cls._sentence(name, found["type"], found["msg"]))
        # Raised out here, so that no __context__ carries the input on.
        if problems:
            raise cls.invalid(problems)
        problems = value.problems()
        if problems:
            raise cls.invalid(problems)
        return value

    def problems(self) -> dict[str, str]:
        """What is wrong between the fields: field -> sentence. Called when each field is fine by itself."""
        return {}

    @classmethod
    def _sentence(cls, name: str, kind: str, message: str) -> str:
        field = cls.model_fields.get(name)
        if field is None:
            return f"There is no field “{name}”."
        title = field.title or name.replace("_", " ").capitalize()
        if kind == "missing":
            return f"{title} is needed."
        if kind == "string_too_long" and field is not None:
            most = next((each.max_length for each in field.metadata if getattr(each, "max_length", None)), None)
            return f"{title}: at most {most} characters." if most else f"{title} is too long."
        if kind == "too_short":
            return f"{title}: at least one is needed."
        if kind == "value_error":
            return message.removeprefix("Value error, ")
        return f"{title} must be {range_of(field)}."


def range_of(field: FieldInfo) -> str:
    """What a field takes, in words: `a number from -2 to 2`, `a whole number of 1 or more`, `low, medium or high`."""
    kinds = _kinds(field.annotation)
    if choices := [str(choice).lower() for choice in choices_of(field)]:
        return " or ".join([", ".join(choices[:-1]), choices[-1]])
    if not {int, float} & set(kinds):
        return _FORMS.get(get_origin(kinds[0]) or kinds[0], "of another form")
    kind = "a whole number" if int in kinds else "a number"
    least, most = bounds_of(field)
    if least is not None and most is not None:
        return f"{kind} from {least:g} to {most:g}"
    return kind if least is None else f"{kind} of {least:g} or more"


def choices_of(field: FieldInfo) -> tuple[str | bool, ...]:
    """The values to choose from, where a field takes one of a few words, or yes and no; else none."""
    kinds = _kinds(field.annotation)
    if bool in kinds:
        return (True, False)
    return tuple(choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind))


_FORMS = {str: "a text", tuple: "a list", dict: "an object with names and values"}


def _kinds(annotation: Any) -> list[Any]:
    """The types that a field takes, without None and without what was said about them."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [kind for each in get_args(annotation) for kind in _kinds(each) if kind is not NoneType]
    return [annotation]


def bounds_of(field: FieldInfo) -> tuple[float | None, float | None]:
    """The least and the most a number field takes, None where there is no bound."""
    least = next((float(each.ge) for each in field.metadata if hasattr(each, "ge")), None)
    most = next((float(each.le) for each in field.metadata if hasattr(each, "le")), None)
    return least, most


def is_sendable(value: object) -> bool:
    """Whether it can be written as JSON: no half characters, no number that is none."""
    if value is None or value == ():
        return True
    try:
        # A text is only looked at: that is all there can be wrong with one, and there may be hundreds.
        (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False)).encode()
    except ValueError:  # UnicodeEncodeError is one of them
        return False
    return True
