"""`anthropic` for Python: messages."""

import anthropic
from outcome import Answer, Question, main


def ask(question: Question, answer: Answer) -> None:
    """Ask, streamed or whole."""
    client = anthropic.Anthropic(base_url=question.url, api_key=question.key)
    request = {
        "model": question.model,
        "max_tokens": 2000,
        "messages": question.messages,
        # This SDK has no such argument any more.
        "extra_body": question.options,
    }
    if question.stream:
        with client.messages.stream(**request) as stream:
            for text in stream.text_stream:
                answer.add(text)
            answer.finish = stream.get_final_message().stop_reason
    else:
        whole = client.messages.create(**request)
        answer.text = "".join(block.text for block in whole.content)
        answer.finish = whole.stop_reason


main(ask)
