// `@anthropic-ai/sdk`: messages.
import Anthropic from "@anthropic-ai/sdk";
import { main } from "./outcome.mjs";

await main(async (question, answer) => {
  const client = new Anthropic({ baseURL: question.url, apiKey: question.key });
  const request = { model: question.model, max_tokens: 2000, messages: question.messages, ...question.options };
  if (question.stream) {
    const stream = client.messages.stream(request);
    for await (const event of stream) {
      if (event.type === "content_block_delta") answer.add(event.delta.text);
    }
    answer.finish = (await stream.finalMessage()).stop_reason;
  } else {
    const whole = await client.messages.create(request);
    answer.text = whole.content.map((block) => block.text).join("");
    answer.finish = whole.stop_reason;
  }
});
