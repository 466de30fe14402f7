"""LiteLLM, run by the Python of its own environment. It has no client to make: address and key come with each call."""

from litellm import completion  # type: ignore[import-not-found]  # not in our environment

from benchmarks.contender import KEY, MODEL, Messages, Pieces, answer


class LiteLLM:
    def __init__(self, base_url: str, messages: Messages) -> None:
        self._asked = {"model": f"openai/{MODEL}", "api_base": base_url, "api_key": KEY, "messages": messages}

    def call(self) -> str | None:
        text: str = completion(**self._asked).choices[0].message.content
        return text

    def stream(self) -> Pieces:
        for chunk in completion(**self._asked, stream=True, stream_options={"include_usage": True}):
            if chunk.choices and (text := chunk.choices[0].delta.content):
                yield text


if __name__ == "__main__":
    answer(LiteLLM)
