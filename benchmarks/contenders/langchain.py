"""LangChain, run by the Python of its own environment: a chat model, made once and used again."""

from langchain_openai import ChatOpenAI  # type: ignore[import-not-found]  # not in our environment

from benchmarks.contender import KEY, MODEL, Messages, Pieces, answer


class LangChain:
    def __init__(self, base_url: str, messages: Messages) -> None:
        self._base_url = base_url
        self._messages = messages
        self._model = self.construct()

    def construct(self) -> ChatOpenAI:
        return ChatOpenAI(base_url=self._base_url, api_key=KEY, model=MODEL, stream_usage=True)

    def call(self) -> str | None:
        text: str = self._model.invoke(self._messages).content
        return text

    def stream(self) -> Pieces:
        for chunk in self._model.stream(self._messages):
            if chunk.content:
                yield chunk.content


if __name__ == "__main__":
    answer(LangChain)
