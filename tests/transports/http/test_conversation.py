"""The shape that conversations are brought into, since templates differ in what they refuse."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from transports.http.conversation import Conversation

ROLES = ("system", "developer", "user", "assistant")


def test_system_messages_come_first_or_are_told_by_the_user() -> None:
    conversation = Conversation()
    for role, text in (("system", "a"), ("developer", "b"), ("user", "c"), ("system", "d"), ("assistant", "e")):
        conversation.say(role, text)
    assert conversation.messages == (
        {"role": "system", "content": "a\n\nb"},
        {"role": "user", "content": "c\n\n<system>\nd\n</system>"},
        {"role": "assistant", "content": "e"},
    )


@given(st.lists(st.tuples(st.sampled_from([*ROLES, "think", "call", "result"]), st.text(max_size=5)), max_size=20))
def test_no_template_has_a_reason_to_refuse(pieces: list[tuple[str, str]]) -> None:
    conversation = Conversation()
    for number, (kind, text) in enumerate(pieces):
        if kind == "think":
            conversation.think(text)
        elif kind == "call":
            conversation.call(str(number), text, {})
        elif kind == "result":
            conversation.result(str(number), text)
        else:
            conversation.say(kind, text)
    roles = [message["role"] for message in conversation.messages]
    assert "system" not in roles[1:]
    assert "developer" not in roles
    assert all(one == "tool" or one != other for one, other in pairwise(roles))
    written = "".join(message["content"] for message in conversation.messages)
    assert all(text in written for kind, text in pieces if kind in ROLES)
