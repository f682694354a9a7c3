// What every Node client of the matrix shares: its command line and its one line of outcome. See outcome.py.
import { parseArgs } from "node:util";

/** Read what to ask whom. `options` has only what was asked for, so that defaults stay the SDK's. */
export function readQuestion() {
  const text = { type: "string" };
  const { values } = parseArgs({
    options: { url: text, key: text, model: text, mode: text, prompt: text, temperature: text },
  });
  return {
    url: values.url,
    key: values.key ?? "unused-but-needed",
    model: values.model ?? "tiny",
    stream: values.mode === "stream",
    messages: [{ role: "user", content: values.prompt }],
    options: values.temperature === undefined ? {} : { temperature: Number(values.temperature) },
  };
}

class Answer {
  text = "";
  pieces = 0;
  finish = null;

  add(text) {
    if (!text) return;
    if (this.pieces === 0) console.log("begun");
    this.pieces += 1;
    this.text += text;
  }
}

/** Run one client: `ask` fills the answer, or throws what its SDK throws. */
export async function main(ask) {
  const answer = new Answer();
  const began = performance.now();
  let outcome;
  try {
    await ask(readQuestion(), answer);
    outcome = { outcome: "returned" };
  } catch (error) {
    outcome = { outcome: "raised", ...described(error) };
  }
  const seconds = Math.round(performance.now() - began) / 1000;
  console.log(JSON.stringify({ ...outcome, ...answer, seconds }));
}

function described(error) {
  const behind = [];
  const next = (one) => one?.lastError ?? one?.cause;
  for (let one = next(error); one && behind.length < 5; one = next(one)) behind.push(String(one));
  const last = error?.lastError ?? error;
  return {
    exception: error?.constructor?.name ?? typeof error,
    message: error?.message ?? String(error),
    body: last?.error ?? last?.data?.error ?? null,
    status: last?.status ?? last?.statusCode ?? null,
    request_id: last?.requestID ?? last?.responseHeaders?.["x-request-id"] ?? null,
    behind,
  };
}
