"""`litellm`, as a client of an OpenAI-compatible server."""

import litellm
from outcome import Answer, Question, main


def ask(question: Question, answer: Answer) -> None:
    """Ask, streamed or whole."""
    given = litellm.completion(
        model=f"openai/{question.model}",
        api_base=question.url + "/v1",
        api_key=question.key,
        messages=question.messages,
        stream=question.stream,
        **question.options,
    )
    if question.stream:
        for chunk in given:
            answer.add(chunk.choices[0].delta.content)
            answer.finish = chunk.choices[0].finish_reason or answer.finish
    else:
        answer.text = given.choices[0].message.content
        answer.finish = given.choices[0].finish_reason


main(ask)
