"""What `/v1/messages` and `/v1/messages/count_tokens` share: the fields that make a prompt."""

from typing import Any

import msgspec

from transports.http import sampling_rules as rules
from transports.http.anthropic.blocks import Turn, template_messages
from transports.http.anthropic.tools import Tool, ToolChoice, template_tools
from transports.http.errors import invalid_request
from transports.http.request_body import refuse_unsupported
from transports.http.text_parts import ContentPart
from transports.http.thinking import thinking_arguments
from transports.messages import ChatPrompt

_THINKING = {"enabled": True, "adaptive": True, "between_tools": True, "disabled": False}


class Thinking(msgspec.Struct, frozen=True):
    """`thinking`; how many tokens it may take is the model's choice."""

    type: str


class OutputConfig(msgspec.Struct, frozen=True):
    """`output_config`; an effort is a hint, a format cannot be demanded."""

    format: Any = None


class PromptFields(msgspec.Struct, kw_only=True):
    """Fields of both endpoints. Unknown ones are ignored, and those that change nothing here, like `cache_control`."""

    model: str
    messages: list[Turn]
    system: str | list[ContentPart] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: Any = None
    mcp_servers: list[Any] | None = None
    container: Any = None


def chat_prompt_of(fields: PromptFields) -> ChatPrompt:
    """Return the checked prompt.

    Raises:
        ApiError: 400 naming the field at fault.
    """
    rules.check_model(fields.model)
    refuse_unsupported(
        {
            "mcp_servers": fields.mcp_servers,
            "container": fields.container,
            "output_config.format": (fields.output_config or OutputConfig()).format,
            "output_format": fields.output_format,
        }
    )
    # A model that can do without thinks only for those who ask, as with Anthropic.
    thinking = "disabled" if fields.thinking is None else fields.thinking.type
    if thinking not in _THINKING:
        known = ", ".join(f"`{name}`" for name in _THINKING)
        raise invalid_request("thinking.type", f"`thinking.type` is {thinking!r}; use one of {known}.")
    return ChatPrompt(
        messages=template_messages(fields.messages, fields.system),
        tools=template_tools(fields.tools, fields.tool_choice),
        template_arguments=thinking_arguments(_THINKING[thinking]),
    )
