"""`langchain-openai`: `ChatOpenAI`."""

from langchain_openai import ChatOpenAI
from outcome import Answer, Question, main


def ask(question: Question, answer: Answer) -> None:
    """Ask, streamed or whole."""
    model = ChatOpenAI(model=question.model, base_url=question.url + "/v1", api_key=question.key, **question.options)
    if question.stream:
        for chunk in model.stream(question.prompt):
            answer.add(chunk.content)
            answer.finish = chunk.response_metadata.get("finish_reason") or answer.finish
    else:
        whole = model.invoke(question.prompt)
        answer.text = whole.content
        answer.finish = whole.response_metadata.get("finish_reason")


main(ask)
