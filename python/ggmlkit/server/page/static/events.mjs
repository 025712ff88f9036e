// Server-sent events: bytes as they come → the data of each event.

export class EventReader {
  #decoder = new TextDecoder();
  #rest = "";
  #data = [];

  // The events that end in these bytes.
  push(bytes) {
    return this.#read(this.#decoder.decode(bytes, { stream: true }));
  }

  // A last event that no blank line ends is not one: the stream broke off in it.
  #read(text) {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop();
    const events = [];
    for (const each of lines) {
      const line = each.endsWith("\r") ? each.slice(0, -1) : each;
      if (line === "") {
        if (this.#data.length) events.push(this.#data.join("\n"));
        this.#data = [];
      } else if (line.startsWith("data:")) {
        this.#data.push(line.slice(line[5] === " " ? 6 : 5));
      }
    }
    return events;
  }
}
