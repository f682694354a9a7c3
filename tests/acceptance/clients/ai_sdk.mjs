// Vercel's `ai` over `@ai-sdk/openai-compatible`; a stream is read as its documentation tells who wants to see errors.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import { main } from "./outcome.mjs";

await main(async (question, answer) => {
  const provider = createOpenAICompatible({ name: "asked", baseURL: question.url + "/v1", apiKey: question.key });
  const request = { model: provider(question.model), messages: question.messages, ...question.options };
  if (question.stream) {
    const stream = streamText({ ...request, onError: () => {} });
    for await (const part of stream.fullStream) {
      if (part.type === "error") throw part.error;
      if (part.type === "text-delta") answer.add(part.text);
      if (part.type === "finish") answer.finish = part.finishReason;
    }
  } else {
    const whole = await generateText(request);
    answer.text = whole.text;
    answer.finish = whole.finishReason;
  }
});
