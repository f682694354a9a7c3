"""`openai` for Python: the Responses API."""

import openai
from outcome import Answer, Question, main


def ask(question: Question, answer: Answer) -> None:
    """Ask, streamed or whole."""
    client = openai.OpenAI(base_url=question.url + "/v1", api_key=question.key)
    create = client.responses.create
    if question.stream:
        for event in create(model=question.model, input=question.prompt, stream=True, **question.options):
            if event.type == "response.output_text.delta":
                answer.add(event.delta)
            elif event.type == "response.completed":
                answer.finish = event.response.status
    else:
        whole = create(model=question.model, input=question.prompt, **question.options)
        answer.text = whole.output_text
        answer.finish = whole.status


main(ask)
