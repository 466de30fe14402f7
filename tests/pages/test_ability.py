"""A page warns, before it sends, of an ability that a configuration was seen to lack."""

import pytest

from tests.pages.conftest import Workbench, action, lines, press, said, send, use, visit
from tests.provider.answers import error
from tests.provider.server import Reply


@pytest.mark.parametrize(
    ("page", "refusal"),
    [
        ("vision", "Invalid content type. image_url is only supported by certain models."),
        ("vision", "image input is not supported - hint: you may need to provide the mmproj"),
        ("function_calling", "tools is not supported in this model."),
        ("function_calling", "registry.ollama.ai/library/x does not support tools"),
        (
            "json_demo_data",
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
        ),
    ],
)
def test_a_page_warns_before_sending_that_a_configuration_lacks_an_ability_and_offers_another_configuration(
    workbench: Workbench, page: str, refusal: str
) -> None:
    first = workbench.connect()
    workbench.connect(display_name="Another")
    at = visit(page)
    assert "has refused" not in said(at)
    at = at.sidebar.selectbox[0].set_value(first.id).run()
    workbench.server.next(Reply(400, error(refusal)))
    at = use(at)
    assert "“OpenAI” has refused" in said(at)
    at = press(at, "Use Another")
    assert "has refused" not in said(at)
    at = send(at, action(at)) if page != "function_calling" else at
    assert lines(at.error) == [] or page == "function_calling"


DOES_NOT_TAKE = {
    "vision": [
        (400, "Invalid content type. image_url is only supported by certain models."),
        (400, "unknown variant `image_url`, expected `text` at line 1 column 180"),
        (500, "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"),
        (400, "gpt-test is not a multimodal model"),
        (404, "No endpoints found that support image input"),
        (400, "This model doesn't support image input."),
    ],
    "function_calling": [
        (400, "tools is not supported in this model. For a list of supported models, refer to the documentation."),
        (500, "tools param requires --jinja flag"),
        (400, "registry.ollama.ai/library/x does not support tools"),
        (404, "No endpoints found that support tool use. Try disabling tools."),
        (400, "Unrecognized request argument supplied: tools"),
    ],
    "json_demo_data": [
        (400, "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."),
        (400, "This response_format type is unavailable now"),
        (400, "'response_format.type' must be 'json_schema' or 'text'"),
    ],
}
"""Errors of providers and local servers when a model lacks an ability that a page needs."""
ANOTHER_TROUBLE = {
    "vision": [
        "max_tokens is too large: 99999. This model supports at most 4096 completion tokens.",
        "The image is larger than 20 MB.",
        "You uploaded an unsupported image. Please make sure your image has of one the following formats: png, jpeg.",
        "Image must be of one of the supported types: image/png, image/jpeg.",
        "Too many images: this model supports at most 5 of them.",
        "The image could not be processed. If this goes on, contact support.",
        "Slow down.",
    ],
    "function_calling": [
        "Invalid 'tools[0].function.name': string does not match pattern. The supported characters are letters.",
        "Too many tools: the maximum that is supported is 128.",
        "Invalid schema for function 'CreateTicket': 'pattern' is not supported.",
        "This model's maximum context length is 8192 tokens, 1000 of them in the functions. Contact support for more.",
    ],
    "json_demo_data": [
        "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
        "Invalid schema for response_format 'Employees': 'format' is not supported.",
        "We could not parse the JSON body of your request. Contact support@example.com.",
    ],
}


@pytest.mark.parametrize("page", DOES_NOT_TAKE)
def test_a_missing_ability_is_recognised_in_the_errors_of_many_providers(workbench: Workbench, page: str) -> None:
    workbench.connect()
    at = visit(page)
    for status, refusal in DOES_NOT_TAKE[page]:
        workbench.server.next(*[Reply(status, error(refusal))] * (3 if status == 500 else 1))  # it is tried again
        at = use(at)
        (warning,) = [each for each in lines(at.markdown) if "“OpenAI” has refused" in each]
        assert refusal in warning


@pytest.mark.parametrize("page", ANOTHER_TROUBLE)
def test_an_unrelated_error_is_not_taken_for_a_missing_ability(workbench: Workbench, page: str) -> None:
    workbench.connect()
    at = visit(page)
    for refusal in ANOTHER_TROUBLE[page]:
        workbench.server.next(Reply(400, error(refusal)))
        at = use(at)
        assert len(lines(at.error)) == 1
        assert "has refused" not in said(at), refusal


def test_the_warning_disappears_when_a_later_request_succeeds(workbench: Workbench) -> None:
    workbench.connect()
    workbench.server.next(Reply(400, error("image input is not supported")))
    at = use(visit("vision"))
    assert "has refused" in said(at)
    assert "has refused" not in said(visit("translate"))
    assert "has refused" not in said(use(at))


def test_without_another_configuration_an_administrator_can_add_one_and_a_user_is_told_to_ask(
    workbench: Workbench,
) -> None:
    workbench.connect(endpoint="http://127.0.0.1:18080/v1")
    (link,) = [link.proto for link in visit("vision").page_link if link.proto.label == "Add a configuration"]
    assert (link.page, link.query_string) == ("configurations", "edit=new")
    workbench.demote()
    at = visit("vision")
    assert "Ask the administrator for a configuration that supports it." in said(at)
    assert "Add a configuration" not in [link.proto.label for link in at.page_link]


@pytest.mark.parametrize(("page", "is_warned"), [("vision", True), ("function_calling", True), ("json_mode", False)])
def test_a_page_warns_of_what_the_built_in_model_cannot_do(workbench: Workbench, page: str, is_warned: bool) -> None:
    workbench.connect(endpoint="http://127.0.0.1:18080/v1")
    assert ("The built-in demo model does not support" in said(visit(page))) is is_warned
