"""`Client`, used with all that it does on: checks, retries, mending, and a report with its price for each call."""

from pydantic import SecretStr

from benchmarks.contender import KEY, MODEL, Messages, Pieces, answer
from connector import (
    Adaptations,
    ApiType,
    CallReport,
    ChatCompletionsRequest,
    Client,
    Configuration,
    Message,
    Price,
    Role,
    cost_of,
    pooled_http_client,
)


class Ours:
    def __init__(self, base_url: str, messages: Messages, certificate: str | None = None) -> None:
        self._base_url = base_url
        self._messages = messages
        self._report: CallReport | None = None
        self._learnt = Adaptations()
        self._price = Price(input=2.5, output=10)
        self._numbers = iter(range(10**9))
        http_client = pooled_http_client(ca_file=certificate) if certificate else None
        self._client = Client(self._configuration(), http_client=http_client, on_call=self._book, learnt=self._learnt)

    def _book(self, report: CallReport) -> None:
        self._report = report
        cost_of(report, self._price)

    def _configuration(self) -> Configuration:
        return Configuration(
            display_name=f"Bench {next(self._numbers)}",
            api_type=ApiType.OPENAI,
            endpoint=self._base_url,
            api_key=SecretStr(KEY),
            model_default=MODEL,
        )

    def construct(self) -> Client:
        return Client(self._configuration(), on_call=self._book, learnt=self._learnt)

    def _request(self) -> ChatCompletionsRequest:
        return ChatCompletionsRequest(
            messages=tuple(Message(role=Role(each["role"]), content=each["content"]) for each in self._messages)
        )

    def call(self) -> str | None:
        return self._client.call_api(self._request()).choices[0].message.content

    def stream(self) -> Pieces:
        with self._client.stream(self._request()) as stream:
            yield from stream


if __name__ == "__main__":
    answer(Ours)
