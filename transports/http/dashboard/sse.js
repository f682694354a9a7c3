// Reads server-sent events from a response of `fetch`: EventSource cannot send a key.

/** Splits text into events, whatever the chunks are. */
export class EventParser {
  #rest = "";

  /** @returns {{id: string | null, name: string, data: string}[]} the events that are whole now */
  feed(text) {
    this.#rest += text;
    const blocks = this.#rest.split("\n\n");
    this.#rest = blocks.pop();
    return blocks.map(parsed).filter((event) => event !== null);
  }
}

function parsed(block) {
  const event = { id: null, name: "message", data: "" };
  let hasData = false;
  for (const line of block.split("\n")) {
    if (line.startsWith(":")) continue;
    const colon = line.indexOf(": ");
    const [field, value] = colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 2)];
    if (field === "id") event.id = value;
    else if (field === "event") event.name = value;
    else if (field === "data") {
      event.data = hasData ? `${event.data}\n${value}` : value;
      hasData = true;
    }
  }
  return hasData ? event : null;
}
