// Sends one message of the table to a server and tells what became of it.

import { type Case, NEXT, NEXT_TAKEN, type Outcome } from "./case.ts";
import { type Answer, broken } from "./answers.ts";

/** What came of a message. */
export interface Result {
  outcome: Outcome;
  /** Rules that its answers break. */
  broken: string[];
}

/** How the bytes are sent. */
export type Arrival = "whole" | "byte by byte" | { cutAt: number };

/**
 * Sends the message of a case over a connection of its own.
 *
 * @param patience Milliseconds after which a server that says nothing is taken to wait.
 */
export async function probe(
  port: number,
  { message, ends }: Case,
  arrival: Arrival,
  patience: number,
): Promise<Result> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  conn.setNoDelay();
  const inbox = new Inbox(conn, patience);
  const parts = typeof message === "string" ? [message] : message;
  try {
    for (const [i, part] of parts.entries()) {
      if (i > 0) await inbox.more();
      // What comes whole comes with NEXT: some servers do otherwise where it comes later.
      const next = i === parts.length - 1 && !ends ? NEXT : "";
      for (const piece of pieces(part, next, arrival)) await write(conn, piece);
    }
    if (ends) await conn.closeWrite();
  } catch (error) {
    // Who refuses may close while more is on its way; what it said is still there to be read.
    if (!isGone(error)) throw error;
  }
  const end = await inbox.all();
  const { answers, isWhole } = parseAnswers(inbox.received, parts[0]);
  return {
    outcome: describe(answers, isWhole, end, ends),
    broken: broken(answers, parts[0], end === "closed"),
  };
}

function* pieces(part: string, next: string, arrival: Arrival): Generator<string> {
  if (arrival === "whole") return yield part + next;
  if (arrival === "byte by byte") yield* part;
  else {
    yield part.slice(0, arrival.cutAt);
    yield part.slice(arrival.cutAt);
  }
  yield next;
}

async function write(conn: Deno.Conn, text: string): Promise<void> {
  const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.ConnectionAborted;
}

/** How the server's side of a connection ended. */
type End = "closed" | "waits";

/** What comes from the server; each read has a time limit. */
class Inbox {
  received = "";
  readonly #conn: Deno.Conn;
  readonly #patience: number;
  #reading: Promise<boolean> | null = null;

  constructor(conn: Deno.Conn, patience: number) {
    this.#conn = conn;
    this.#patience = patience;
  }

  /** Waits for more; "waits" where none came in time. */
  async more(): Promise<"more" | End> {
    this.#reading ??= this.#read();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<"waits">((resolve) => {
      timer = setTimeout(() => resolve("waits"), this.#patience);
    });
    const came = await Promise.race([this.#reading, late]);
    clearTimeout(timer);
    if (came === "waits") return came;
    this.#reading = null;
    return came ? "more" : "closed";
  }

  /** Reads all that comes. */
  async all(): Promise<End> {
    for (;;) {
      const came = await this.more();
      if (came !== "more") {
        // The close of the connection ends a read that is under way.
        this.#reading?.catch(() => {});
        return came;
      }
    }
  }

  async #read(): Promise<boolean> {
    const area = new Uint8Array(16 * 1024);
    try {
      const count = await this.#conn.read(area);
      for (const byte of area.subarray(0, count ?? 0)) this.received += String.fromCharCode(byte);
      return count !== null;
    } catch (error) {
      if (isGone(error)) return false;
      if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) {
        return false;
      }
      throw error;
    }
  }
}

/** The answers in what was received; `isWhole` where nothing else is in it. */
function parseAnswers(
  received: string,
  request: string,
): { answers: Answer[]; isWhole: boolean } {
  const answers: Answer[] = [];
  let rest = received;
  // A request for HEAD is the first of its message.
  let isHead = request.startsWith("HEAD ");
  while (rest !== "") {
    const end = rest.indexOf("\r\n\r\n");
    const head = /^(HTTP\/1\.[01]) ([1-5]\d\d) ([^\r\n]*)\r\n/.exec(rest);
    if (end < 0 || head === null) return { answers, isWhole: false };
    const status = Number(head[2]);
    const fields = rest.slice(head[0].length, Math.max(end, head[0].length)).split("\r\n")
      .filter((line) => line !== "")
      .map((line): [string, string] => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      });
    rest = rest.slice(end + 4);
    const field = (name: string): string | undefined =>
      fields.find(([other]) => other === name)?.[1];
    const hasNoBody = status < 200 || status === 204 || status === 304 || isHead;
    let body = "";
    let isComplete = true;
    if (status === 101) {
      body = rest;
      rest = "";
    } else if (hasNoBody) {
      if (status >= 200) isHead = false;
    } else if (field("transfer-encoding")?.toLowerCase() === "chunked") {
      for (let size = -1; size !== 0 && isComplete;) {
        const line = /^([0-9a-f]+)\r\n/i.exec(rest);
        size = line === null ? 0 : parseInt(line[1], 16);
        isComplete = line !== null && rest.length >= line[0].length + size + 2;
        if (!isComplete) break;
        body += rest.slice(line![0].length, line![0].length + size);
        rest = rest.slice(line![0].length + size + 2);
      }
    } else if (field("content-length") !== undefined) {
      const length = Number(field("content-length"));
      isComplete = rest.length >= length;
      body = rest.slice(0, length);
      rest = rest.slice(length);
    } else {
      body = rest;
      rest = "";
    }
    answers.push({ status, fields, body, isComplete });
    if (!isComplete) return { answers, isWhole: false };
  }
  return { answers, isWhole: true };
}

function describe(answers: Answer[], isWhole: boolean, end: End, ends: boolean): Outcome {
  const words = answers.map(({ status, body, isComplete }) => {
    if (!isComplete) return `${status} cut short`;
    return status === 200 && body !== "" ? `${status} ${body}` : String(status);
  });
  const isNext = words.at(-1) === `200 ${NEXT_TAKEN}`;
  if (isNext) words.pop();
  if (!isWhole && answers.every(({ isComplete }) => isComplete)) words.push("no HTTP");
  words.push(end === "waits" ? "waits" : isNext && !ends ? "next" : "closed");
  return words.join(", ");
}
