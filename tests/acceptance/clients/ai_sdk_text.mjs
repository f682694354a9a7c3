// Vercel's `ai` again, with a stream read as who wants nothing but its text reads it.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import { main } from "./outcome.mjs";

await main(async (question, answer) => {
  const provider = createOpenAICompatible({ name: "asked", baseURL: question.url + "/v1", apiKey: question.key });
  const request = { model: provider(question.model), messages: question.messages, ...question.options };
  if (question.stream) {
    for await (const text of streamText(request).textStream) answer.add(text);
  } else {
    answer.text = (await generateText(request)).text;
  }
});
