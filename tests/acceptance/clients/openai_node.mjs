// `openai` for Node: chat completions.
import OpenAI from "openai";
import { main } from "./outcome.mjs";

await main(async (question, answer) => {
  const client = new OpenAI({ baseURL: question.url + "/v1", apiKey: question.key });
  const request = { model: question.model, messages: question.messages, ...question.options };
  if (question.stream) {
    const stream = await client.chat.completions.create({ ...request, stream: true });
    for await (const chunk of stream) {
      answer.add(chunk.choices[0]?.delta?.content);
      answer.finish = chunk.choices[0]?.finish_reason ?? answer.finish;
    }
  } else {
    const whole = await client.chat.completions.create(request);
    answer.text = whole.choices[0].message.content;
    answer.finish = whole.choices[0].finish_reason;
  }
});
