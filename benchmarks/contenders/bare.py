"""A POST without any client library for chat completions: as little as can be done."""

import json

import httpx2

from benchmarks.contender import KEY, MODEL, Messages, Pieces, answer


class Bare:
    def __init__(self, base_url: str, messages: Messages) -> None:
        self._client = httpx2.Client(timeout=60, headers={"authorization": f"Bearer {KEY}"})
        self._url = f"{base_url}/chat/completions"
        self._body = {"model": MODEL, "messages": messages}

    def call(self) -> str | None:
        answer = self._client.post(self._url, json=self._body).json()
        text: str = answer["choices"][0]["message"]["content"]
        return text

    def stream(self) -> Pieces:
        with self._client.stream("POST", self._url, json={**self._body, "stream": True}) as response:
            events = (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: {"))
            for event in events:
                if event["choices"] and (text := event["choices"][0]["delta"].get("content")):
                    yield text


if __name__ == "__main__":
    answer(Bare)
