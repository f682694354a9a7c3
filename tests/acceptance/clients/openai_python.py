"""`openai` for Python: chat completions."""

import openai
from outcome import Answer, Question, main


def ask(question: Question, answer: Answer) -> None:
    """Ask, streamed or whole."""
    client = openai.OpenAI(base_url=question.url + "/v1", api_key=question.key)
    create = client.chat.completions.create
    if question.stream:
        for chunk in create(model=question.model, messages=question.messages, stream=True, **question.options):
            if chunk.choices:
                answer.add(chunk.choices[0].delta.content)
                answer.finish = chunk.choices[0].finish_reason or answer.finish
    else:
        whole = create(model=question.model, messages=question.messages, **question.options)
        answer.text = whole.choices[0].message.content
        answer.finish = whole.choices[0].finish_reason


main(ask)
