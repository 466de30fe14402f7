"""The openai SDK as it comes: its client is made once and used again, its stream is read chunk by chunk."""

from typing import Any

from openai import OpenAI

from benchmarks.contender import KEY, MODEL, Messages, Pieces, answer


class Sdk:
    def __init__(self, base_url: str, messages: Messages) -> None:
        self._base_url = base_url
        self._messages: Any = messages
        self._client = self.construct()

    def construct(self) -> OpenAI:
        return OpenAI(base_url=self._base_url, api_key=KEY)

    def call(self) -> str | None:
        answer = self._client.chat.completions.create(model=MODEL, messages=self._messages)
        return answer.choices[0].message.content

    def stream(self) -> Pieces:
        stream = self._client.chat.completions.create(
            model=MODEL, messages=self._messages, stream=True, stream_options={"include_usage": True}
        )
        with stream:
            for chunk in stream:
                if chunk.choices and (text := chunk.choices[0].delta.content):
                    yield text


if __name__ == "__main__":
    answer(Sdk)
