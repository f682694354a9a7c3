"""`ollama` for Python: chat."""

import ollama
from outcome import Answer, Question, main


def ask(question: Question, answer: Answer) -> None:
    """Ask, streamed or whole."""
    client = ollama.Client(host=question.url, headers={"Authorization": f"Bearer {question.key}"})
    options = question.options or None
    if question.stream:
        for part in client.chat(question.model, question.messages, stream=True, options=options):
            answer.add(part.message.content)
            answer.finish = part.done_reason or answer.finish
    else:
        whole = client.chat(question.model, question.messages, options=options)
        answer.text = whole.message.content
        answer.finish = whole.done_reason


main(ask)
