// A client that sends bytes as they are and shows the bytes that come back. Text stands for bytes, one code
// unit each (latin-1).

/** One response, as it came. */
export interface RawResponse {
  status: number;
  /** Names in lower case, in the order they came in. */
  headers: [name: string, value: string][];
  /** The body without its framing. */
  body: string;
  /** The head as it came; the time in `Date` is replaced by "now". */
  head: string;
}

/** Milliseconds without a byte after which a test fails: a safety net, never waited for. */
const DEADLINE = 60_000;

/** One connection to a server under test. */
export class RawClient implements Disposable {
  readonly #conn: Deno.Conn;
  #received = "";
  #isClosed = false;

  private constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  /** Connects. */
  static async connect(
    { hostname, port }: Pick<Deno.NetAddr, "hostname" | "port">,
  ): Promise<RawClient> {
    const conn = await Deno.connect({ hostname, port });
    conn.setNoDelay();
    return new RawClient(conn);
  }

  /** The client's address, as the server's log shows it. */
  get address(): string {
    const { hostname, port } = this.#conn.localAddr as Deno.NetAddr;
    return `${hostname}:${port}`;
  }

  /** Sends all of these bytes. */
  async send(text: string): Promise<void> {
    const bytes = latin1(text);
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
  }

  /** Ends the client's side of the connection. */
  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  /** Reads one response. @param method The request's: the answer to HEAD has no body. */
  async response(method = "GET"): Promise<RawResponse> {
    const { head, status, headers } = parseHead(await this.until("\r\n\r\n"));
    const get = (name: string): string | undefined =>
      headers.find((field) => field[0] === name)?.[1];
    let body = "";
    if (method === "HEAD" || status < 200 || status === 204 || status === 304) body = "";
    else if (get("transfer-encoding") === "chunked") body = await this.#chunks();
    else if (get("content-length") !== undefined) body = await this.#take(+get("content-length")!);
    else body = await this.rest();
    return { status, headers, body, head };
  }

  /** Whether a byte of an answer comes before the server ends the connection, by a close or a reset. */
  async answers(): Promise<boolean> {
    try {
      return this.#received !== "" || await this.#read();
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionReset) return false;
      throw error;
    }
  }

  /** Reads up to and with `end`. */
  async until(end: string): Promise<string> {
    while (!this.#received.includes(end)) {
      if (!await this.#read()) throw this.#unexpectedEnd();
    }
    return await this.#take(this.#received.indexOf(end) + end.length);
  }

  /** Reads all that comes until the server closes. @throws Where it resets the connection. */
  async rest(): Promise<string> {
    while (await this.#read());
    return await this.#take(this.#received.length);
  }

  /** Reads until the server ends the connection, by a close or a reset. */
  async gone(): Promise<string> {
    try {
      return await this.rest();
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionReset) {
        return await this.#take(this.#received.length);
      }
      throw error;
    }
  }

  async #chunks(): Promise<string> {
    for (let body = "";;) {
      const size = parseInt(await this.until("\r\n"), 16);
      body += await this.#take(size);
      if (size > 0) await this.until("\r\n");
      else {
        while (await this.until("\r\n") !== "\r\n");
        return body;
      }
    }
  }

  async #take(length: number): Promise<string> {
    while (this.#received.length < length) {
      if (!await this.#read()) throw this.#unexpectedEnd();
    }
    const taken = this.#received.slice(0, length);
    this.#received = this.#received.slice(length);
    return taken;
  }

  async #read(): Promise<boolean> {
    const deadline = setTimeout(() => this[Symbol.dispose](), DEADLINE);
    const area = new Uint8Array(64 * 1024);
    try {
      const count = await this.#conn.read(area);
      if (count !== null) this.#received += text(area.subarray(0, count));
      return count !== null;
    } catch (error) {
      if (!this.#isClosed) throw error;
      throw new Error(`Cannot read on: nothing came for ${DEADLINE} ms after ${this.#tail()}`);
    } finally {
      clearTimeout(deadline);
    }
  }

  #unexpectedEnd(): Error {
    return new Error(`Cannot read on: the server closed after ${this.#tail()}`);
  }

  #tail(): string {
    return JSON.stringify(this.#received.slice(-500));
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#conn.close();
  }
}

/** The bytes of a text. */
export function latin1(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/** The text of bytes. */
function text(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) {
    text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  }
  return text;
}

/** The latin-1 text of a text's bytes in UTF-8. */
export function utf8(unicode: string): string {
  return text(new TextEncoder().encode(unicode));
}

/** What came, with the time in each `Date` replaced by "now". */
export function undated(received: string): string {
  return received.replace(/^(date: ).*(?=\r$)/gim, "$1now");
}

function parseHead(raw: string): { head: string; status: number; headers: [string, string][] } {
  const [statusLine, ...lines] = raw.slice(0, -4).split("\r\n");
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return {
    head: undated(raw),
    status: Number(statusLine.split(" ")[1]),
    headers,
  };
}
