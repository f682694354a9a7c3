"""A client of a cluster that uses an SDK, as most do."""

import threading

import openai


class SdkClient:
    """One streamed chat request of the OpenAI SDK, in a thread.

    Args:
        url: The API's address.
        max_retries: How often the SDK comes again.
        max_tokens: How long the answer is to be.
    """

    def __init__(self, url: str, *, max_retries: int, max_tokens: int) -> None:
        self._client = openai.OpenAI(base_url=url + "/v1", api_key="unused", max_retries=max_retries, timeout=60)
        self._max_tokens = max_tokens
        self.chunks = 0
        self.raised: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            stream = self._client.chat.completions.create(
                model="tiny",
                messages=[{"role": "user", "content": "tell me about rings"}],
                max_tokens=self._max_tokens,
                stream=True,
                extra_body={"ignore_eos": True},
            )
            for chunk in stream:
                self.chunks += bool(chunk.choices and chunk.choices[0].delta.content)
        except Exception as problem:  # noqa: BLE001 - which one is what the test is about
            self.raised = problem
        finally:
            self._client.close()

    def wait_end(self) -> None:
        """Wait for the end of the answer, or for the exception."""
        self._thread.join(60)
        assert not self._thread.is_alive()
