// What the table of cases is made of: messages, and the words for what a server does with them.
//
// Behind each message comes one request more, NEXT, which asks to close the connection. So a server that
// goes on answers it and closes, and one that has refused the message closes without: nobody has to wait.
//
// An outcome is the answers in order and how the connection went on. An answer is its status, a 200 also
// what the server took the request for: method, host, path, query and how many bytes of body. Then comes
// "next" (NEXT was answered), "closed" (it was not), or "waits" (nothing more came).

/** What a server does with a message, as in "200 POST a/ 5, next" or "400, closed". */
export type Outcome = string;

/** The request behind each message. */
export const NEXT = "GET /next HTTP/1.1\r\nHost: next\r\nConnection: close\r\n\r\n";
/** What a server takes NEXT for. */
export const NEXT_TAKEN = "GET next/next 0";

/** Refused as RFC 9112 wants it: an answer, a close, and nothing after it. */
export const REFUSED: Outcome = "400, closed";
/** What GET and POST of `/` are taken for, and the connection goes on. */
export const TAKEN: Outcome = "200 GET a/ 0, next";

/** One message and what becomes of it. */
export interface Case {
  /** What it is, in the words of a sentence that goes on "… gets …". */
  what: string;
  /** The bytes; several parts where the client waits for an answer before the next one. */
  message: string | readonly string[];
  /**
   * First what this server does, then what else the RFC allows. "4xx" and "5xx" stand for any such status.
   */
  may: readonly Outcome[];
  /** The client closes its sending half in place of NEXT. */
  ends: boolean;
  /** Why this server does what the RFC does not allow; else its outcome is among those. */
  departs: string | null;
}

/** Cases that one rule decides. */
export interface Group {
  /** Section of the RFC. */
  section: string;
  /** What it says, in short. */
  rule: string;
  cases: readonly Case[];
}

/** A row of the table; what it `may` is the group's where it is not given. */
export type Row = readonly [
  what: string,
  message: string | readonly string[],
  may?: readonly Outcome[],
  ends?: "ends" | { departs: string },
];

/** Makes a group of its rows. */
export function group(
  section: string,
  rule: string,
  may: readonly Outcome[],
  rows: readonly Row[],
): Group {
  return {
    section,
    rule,
    cases: rows.map(([what, message, own = may, ends]) => ({
      what,
      message,
      may: own,
      ends: ends === "ends",
      departs: typeof ends === "object" ? ends.departs : null,
    })),
  };
}

/** Whether the RFC allows an outcome. */
export function allows({ may, departs }: Case, outcome: Outcome): boolean {
  return (departs === null ? may : may.slice(1)).some((pattern) => {
    const source = pattern.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(
      /\b([45])xx/g,
      "$1\\d\\d",
    );
    return new RegExp(`^${source}$`).test(outcome);
  });
}

/** A request with this request line, `Host: a` and more fields. */
export function request(line: string, ...fields: string[]): string {
  return [line, "Host: a", ...fields, "\r\n"].join("\r\n");
}

/** GET of `/` with more fields. */
export function get(...fields: string[]): string {
  return request("GET / HTTP/1.1", ...fields);
}

/** POST to `/` with these fields and this body. */
export function post(fields: readonly string[], body: string): string {
  return request("POST / HTTP/1.1", ...fields) + body;
}

/** POST to `/` with a body that is framed as chunks. */
export function chunked(body: string): string {
  return post(["Transfer-Encoding: chunked"], body);
}

/** GET of `/` with this Host alone. */
export function host(value: string): string {
  return `GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`;
}

/** GET of `/` in HTTP/1.0 with these fields. */
export function http10(...fields: string[]): string {
  return ["GET / HTTP/1.0", ...fields, "\r\n"].join("\r\n");
}
