// The least that a server in TypeScript does: it finds the ends of lines, routes, calls a handler, and writes
// what that returns. It checks nothing, limits nothing, keeps no deadlines, and starts with a body only when
// all of it is there. Like this project, it answers all requests that came together before it writes.

import { confirm, greet, type Order } from "./content.ts";
import { certificate, listening, options } from "./program.ts";

/** The operations below `Deno.Conn`, which cost less than its methods. */
interface Core {
  read(rid: number, buffer: Uint8Array): Promise<number>;
  write(rid: number, bytes: Uint8Array): Promise<number>;
}

// deno-lint-ignore no-explicit-any
const { read, write }: Core = (Deno as any)[(Deno as any).internal].core;

function ridOf(conn: Deno.Conn): number {
  const symbol = Object.getOwnPropertySymbols(conn).find((it) => it.description?.endsWith(".rid"));
  return (conn as unknown as Record<symbol, number>)[symbol!];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

type Handler = (param: string, body: Uint8Array) => string;

const routes = new Map<string, Handler>();
routes.set("GET /user/", greet);
routes.set("POST /json", (_, body) => {
  const order: Order = JSON.parse(decoder.decode(body));
  return JSON.stringify(confirm(order));
});

let date = new Date().toUTCString();
setInterval(() => date = new Date().toUTCString(), 1000);

const CR = 13, SPACE = 32, SLASH = 47, COLON = 58;
const NO_BODY = new Uint8Array(0);
const LENGTH_NAME = "content-length:";

/** The connections that have answers to write. */
let answered: Connection[] = [];

function writeAll(): void {
  const connections = answered;
  answered = [];
  for (const connection of connections) connection.write();
  for (const connection of connections) connection.read();
}

class Connection {
  readonly #conn: Deno.Conn;
  readonly #rid: number;
  readonly #input = new Uint8Array(16 * 1024);
  /** Bytes of `#input` that are the beginning of a request. */
  #kept = 0;
  readonly #output = new Uint8Array(64 * 1024);
  #written = 0;
  readonly #onRead = (count: number): void => this.#receive(count);
  readonly #close = (): void => this.#conn.close();

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
    this.#rid = ridOf(conn);
  }

  read(): void {
    read(this.#rid, this.#input.subarray(this.#kept)).then(this.#onRead, this.#close);
  }

  write(): void {
    write(this.#rid, this.#output.subarray(0, this.#written)).catch(this.#close);
    this.#written = 0;
  }

  #receive(count: number): void {
    if (count === 0) return this.#close();
    const end = this.#kept + count;
    let at = 0;
    for (let next; (next = this.#answer(at, end)) !== -1;) at = next;
    this.#input.copyWithin(0, at, end);
    this.#kept = end - at;
    if (this.#written === 0) return this.read();
    // The callbacks of all reads that have ended come first.
    if (answered.push(this) === 1) Promise.resolve().then(writeAll);
  }

  /** Answers the request that begins at `start`. @returns Where it ends, -1 if not all of it has come. */
  #answer(start: number, end: number): number {
    const input = this.#input;
    let at = start;
    let slash = 0, space = 0;
    for (; at < end && input[at] !== CR; at++) {
      if (input[at] === SLASH && space === 0) slash = at;
      else if (input[at] === SPACE && slash > 0) space = space || at;
    }
    let bodySize = 0;
    for (at += 2; at < end && input[at] !== CR; at += 2) {
      const field = at;
      while (at < end && input[at] !== CR) at++;
      const value = field + LENGTH_NAME.length;
      // The only field that is looked at.
      if (input[value - 1] === COLON && this.#text(field, value).toLowerCase() === LENGTH_NAME) {
        bodySize = Number(this.#text(value, at));
      }
    }
    const body = at + 2;
    if (body + bodySize > end) return -1;

    const paramStart = input[slash - 1] === SPACE ? space : slash + 1;
    const handler = routes.get(this.#text(start, paramStart))!;
    const param = this.#text(paramStart, space);
    this.#send(handler(param, bodySize === 0 ? NO_BODY : input.subarray(body, body + bodySize)));
    return body + bodySize;
  }

  #text(start: number, end: number): string {
    return String.fromCharCode.apply(null, this.#input.subarray(start, end) as never);
  }

  #send(body: string): void {
    const response =
      `HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nDate: ${date}\r\n` +
      `Content-Length: ${body.length}\r\n\r\n${body}`;
    this.#written += encoder.encodeInto(response, this.#output.subarray(this.#written)).written;
  }
}

const address = { hostname: "127.0.0.1", port: 0 };
const listener = options.tls === undefined
  ? Deno.listen(address)
  : Deno.listenTls({ ...address, ...certificate() as Deno.TlsCertifiedKeyPem });
listening((listener.addr as Deno.NetAddr).port);
for await (const conn of listener) new Connection(conn).read();
