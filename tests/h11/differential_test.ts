// The same bytes to this engine and to Python's h11. Where the two differ, the bytes alone must say
// which of the classes below it is; what no class explains is a bug of one of them.
//
//   H11_DIFFERENTIAL=2000000 H11_SEED=5 deno test -A tests/h11/differential_test.ts

import { assert, assertEquals } from "@std/assert";
import * as h11 from "../../h11.ts";
import { type Needs, test } from "../needs.ts";
import { mutated, request, response } from "./generate.ts";
import { client, converse, END, latin1, server } from "./log.ts";
import { Random } from "./random.ts";

const PYTHON = "/usr/bin/python3";
const METHODS = ["", "GET", "HEAD", "POST", "CONNECT"];

/** Messages that are on their way to Python at once. */
const BATCH = 5_000;

// h11 0.16, or an older one in which the distribution mended the same (CVE-2025-43859).
const PROBE = "from h11._readers import ChunkedReader as C; assert C()._bytes_to_discard == b''";
/** What a test that compares needs. */
const NEEDS: Needs = {
  permissions: ["run", "env"],
  commands: [[PYTHON, "-c", PROBE]],
};

// The classes of differences.

type Kind =
  /** We refuse what h11 takes. */
  | "stricter"
  /** We take what h11 refuses. */
  | "laxer"
  /** Both take it, as different things. */
  | "other";

interface Class {
  name: string;
  role: h11.Role | "both";
  kind: Kind;
  /** Whether the bytes, as text, have what makes the difference; `method` is what a client asked with. */
  isIn: (message: string, method: string) => boolean;
  example: string;
}

const GET = "GET / HTTP/1.1\r\nHost: a\r\n";
const CHUNKED = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\n";
const OK_CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/** The values of all fields, or what looks like one, called `name`. */
function values(message: string, name: string): string[] {
  const pattern = new RegExp(`^${name}:[ \\t]*([^\\r\\n]*?)[ \\t]*\\r?$`, "gim");
  return Array.from(message.matchAll(pattern), ([, value]) => value);
}

/**
 * What looks like a request line: method and target. The body before it may have eaten the front of
 * it, which makes another method of it.
 */
function requestLines(message: string): [method: string, target: string][] {
  const pattern = /([!-9;-~]+) ([!-~]+) HTTP\/\d\.\d(?=\r?\n)/g;
  const lines = Array.from(
    message.matchAll(pattern),
    ([, method, target]): [string, string] => [method, target],
  );
  const isEaten = values(message, "content-length").length > 0;
  return isEaten ? [...lines, ...lines.map(([m, t]): [string, string] => [m.slice(1), t])] : lines;
}

const REG_NAME = "(?:[\\w\\-.~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+";
function isHost(text: string): boolean {
  const match = new RegExp(`^(\\[[0-9A-Fa-f:.]*\\]|${REG_NAME})(?::(\\d{0,5}))?$`).exec(text);
  if (match === null || Number(match[2] ?? 0) > 65535) return false;
  // A URL parser is a second opinion on addresses, though it does not know IPvFuture.
  return !match[1].startsWith("[") || URL.canParse(`http://${match[1]}/`);
}
function isTarget(method: string, target: string): boolean {
  if (method === "CONNECT") return /[^:]:\d+$/.test(target) && isHost(target);
  if (target.startsWith("/")) return true;
  if (target === "*") return method === "OPTIONS";
  const match = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/([^/?]*)/.exec(target);
  return match !== null && isHost(match[1]);
}

/** The lines that h11 would take as the size line of a chunk. */
function chunkLines(message: string): string[] {
  const pattern = /(?<=\n)[0-9A-Fa-f]{1,20}(?:;[^\n]*)?[ \t]*(?=\r\n)/g;
  return Array.from(message.matchAll(pattern), ([line]) => line);
}
const EXTENSION =
  `[ \\t]*;[ \\t]*[\\w!#$%&'*+\\-.^\`|~]+(?:=(?:[\\w!#$%&'*+\\-.^\`|~]+|"(?:[^"\\\\]|\\\\.)*"))?`;
const CHUNK_LINE = new RegExp(`^[0-9A-Fa-f]+(?:${EXTENSION})*$`);

/** The fields of what looks like a trailer section. */
function trailers(message: string): string {
  return Array.from(message.matchAll(/\n0+[ \t]*(?:;[^\n]*)?\r\n([^]*?)\r?\n\r?\n/g), ([, t]) => t)
    .join("\n");
}
const FORBIDDEN = new RegExp(
  "^(content-length|transfer-encoding|host|connection|upgrade|te|trailer|cache-control|expect|" +
    "max-forwards|pragma|range|if-[a-z-]+|authorization|proxy-[a-z-]+|cookie|set-cookie|date|" +
    "www-authenticate|age|expires|location|retry-after|vary|warning|content-encoding|" +
    "content-type|content-range|keep-alive):",
  "im",
);

/** Whether there is anything but one length, or chunked. */
function framesBadly(message: string): boolean {
  const lengths = values(message, "content-length").flatMap((value) =>
    value.split(/[ \t]*,[ \t]*/)
  );
  return lengths.some((length) => !/^\d+$/.test(length) || Number(length) !== Number(lengths[0])) ||
    !["", "chunked"].includes(values(message, "transfer-encoding").join("\n").toLowerCase()) ||
    /^transfer-encoding:[ \t]*\r?$/im.test(message);
}

const CLASSES: Class[] = [
  {
    name: "a bare LF in a head or a trailer section (RFC 9112 2.2)",
    role: h11.SERVER,
    kind: "stricter",
    isIn: (m) => /(?<!\r)\n/.test(m),
    example: `${GET}X: a\n\r\n`,
  },
  {
    name: "a folded line (RFC 9112 5.2)",
    role: h11.SERVER,
    kind: "stricter",
    isIn: (m) => /\n[ \t]/.test(m),
    example: `${GET}X: a\r\n b\r\n\r\n`,
  },
  {
    name: "a control character where h11 takes some (RFC 9110 5.5)",
    role: "both",
    kind: "stricter",
    // deno-lint-ignore no-control-regex
    isIn: (m) => /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(m),
    example: `${OK}X: a\x01b\r\n\r\n`,
  },
  {
    name: "a bare CR in a chunk extension (RFC 9112 2.2)",
    role: "both",
    kind: "stricter",
    isIn: (m) => /;[^\n]*\r(?!\n)/.test(m),
    example: `${OK_CHUNKED}1;a\rb\r\na\r\n0\r\n\r\n`,
  },
  {
    name: "a fragment in the target (RFC 9112 3.2)",
    role: h11.SERVER,
    kind: "stricter",
    isIn: (m) => requestLines(m).some(([, target]) => target.includes("#")),
    example: "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n",
  },
  {
    name: "a target in a form that the method does not allow (RFC 9112 3.2)",
    role: h11.SERVER,
    kind: "stricter",
    isIn: (m) => requestLines(m).some(([method, target]) => !isTarget(method, target)),
    example: "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
  },
  {
    name: "a major version that is not 1 (RFC 9110 2.5)",
    role: "both",
    kind: "stricter",
    isIn: (m) => /HTTP\/[02-9]\.\d/.test(m),
    example: "HTTP/2.0 200 OK\r\n\r\n",
  },
  {
    name: "no Host in HTTP/1.2 and later (RFC 9112 3.2)",
    role: h11.SERVER,
    kind: "stricter",
    isIn: (m) => /HTTP\/1\.[2-9]\r?\n/.test(m),
    example: "GET / HTTP/1.2\r\n\r\n",
  },
  {
    name: "a Host that is not a host with an optional port (RFC 9110 7.2)",
    role: h11.SERVER,
    kind: "stricter",
    isIn: (m) => values(m, "host").some((host) => !isHost(host)),
    example: "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
  },
  {
    name: "a list of equal Content-Lengths (RFC 9110 8.6)",
    role: h11.SERVER,
    kind: "stricter",
    isIn: (m) => values(m, "content-length").some((value) => value.includes(",")),
    example: `${GET}Content-Length: 0, 0\r\n\r\n`,
  },
  {
    name: "equal Content-Lengths (RFC 9112 6.3)",
    role: h11.SERVER,
    kind: "stricter",
    isIn: (m) => values(m, "content-length").length > 1,
    example: `${GET}Content-Length: 0\r\nContent-Length: 0\r\n\r\n`,
  },
  {
    name: "a Content-Length over 2^53-1 (RFC 9110 8.6)",
    role: "both",
    kind: "stricter",
    isIn: (m) => values(m, "content-length").some((value) => /\d{16}/.test(value)),
    example: `${OK}Content-Length: 9007199254740992\r\n\r\n`,
  },
  {
    name: "Transfer-Encoding with Content-Length (RFC 9112 6.1)",
    role: h11.SERVER,
    kind: "stricter",
    isIn: (m) =>
      values(m, "content-length").length > 0 && values(m, "transfer-encoding").length > 0,
    example: `${GET}Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  },
  {
    name: "Transfer-Encoding in HTTP/1.0 (RFC 9112 6.1)",
    role: h11.SERVER,
    kind: "stricter",
    isIn: (m) => m.includes("HTTP/1.0") && values(m, "transfer-encoding").length > 0,
    example: "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  },
  {
    name: "an expectation other than 100-continue (RFC 9110 10.1.1)",
    role: h11.SERVER,
    kind: "stricter",
    isIn: (m) => values(m, "expect").some((value) => value.toLowerCase() !== "100-continue"),
    example: `${GET}Expect: b\r\n\r\n`,
  },
  {
    name: "a chunk's size line that is not in the grammar (RFC 9112 7.1)",
    role: h11.SERVER,
    kind: "stricter",
    isIn: (m) => chunkLines(m).some((line) => !CHUNK_LINE.test(line)),
    example: `${CHUNKED}0 \r\n\r\n`,
  },
  {
    name: "a chunk size over 2^53-1 or 16 digits (RFC 9112 7.1)",
    role: "both",
    kind: "stricter",
    isIn: (m) => chunkLines(m).some((line) => /^[0-9A-Fa-f]{14}/.test(line)),
    example: `${OK_CHUNKED}ffffffffffffffffff\r\na`,
  },
  {
    name: "a method of over 64 bytes (RFC 9112 3)",
    role: h11.SERVER,
    kind: "stricter",
    isIn: (m) => requestLines(m).some(([method]) => method.length > 64),
    example: `${"M".repeat(65)} / HTTP/1.1\r\nHost: a\r\n\r\n`,
  },

  {
    name: "one CRLF before a request line (RFC 9112 2.2)",
    role: h11.SERVER,
    kind: "laxer",
    isIn: (m) =>
      /^\r\n|\r\n[!-~]+ [!-~]+ HTTP|[^\n]\r\n\r?$|\r\n\r\n\r\n\r?$/.test(m) ||
      // A body of any text may end before the last CRLF.
      (/\r\n\r?$/.test(m) && values(m, "content-length").length > 0),
    example: `\r\n${GET}\r\n`,
  },
  {
    name: "white space before a chunk extension (RFC 9112 7.1.1)",
    role: h11.SERVER,
    kind: "laxer",
    isIn: (m) => /\n[0-9A-Fa-f]+[ \t]+;/.test(m),
    example: `${CHUNKED}0 ;a\r\n\r\n`,
  },
  {
    name: "a trailer that would frame a message, if it were in a head (RFC 9110 6.5.1)",
    role: "both",
    kind: "laxer",
    isIn: (m) => /^(content-length|transfer-encoding):/im.test(trailers(m)),
    example: `${OK_CHUNKED}0\r\nContent-Length: b\r\n\r\n`,
  },
  {
    name: "keep-alive in HTTP/1.0 (RFC 9112 9.3)",
    role: "both",
    kind: "laxer",
    isIn: (m) => m.includes("HTTP/1.0") && /keep-alive/i.test(m),
    example: "HTTP/1.0 204 x\r\nConnection: keep-alive\r\n\r\nHTTP/1.1 204 x\r\n\r\n",
  },
  {
    name: "Content-Lengths that are equal as numbers (RFC 9110 8.6)",
    role: h11.CLIENT,
    kind: "laxer",
    isIn: (m) => values(m, "content-length").some((value) => /^0\d/.test(value)),
    example: `${OK}Content-Length: 00\r\nContent-Length: 0\r\n\r\n`,
  },
  {
    name: "fields that frame a body that is not there (RFC 9112 6.3)",
    role: h11.CLIENT,
    kind: "laxer",
    isIn: (m, method) =>
      (method === "HEAD" || method === "CONNECT" || /HTTP\/1\.\d (?:1\d\d|204|304)\b/.test(m)) &&
      framesBadly(m.replaceAll(/\r?\n[ \t]+/g, " ")),
    example: "HTTP/1.1 204 x\r\nTransfer-Encoding: gzip\r\n\r\n",
  },

  {
    name: "a trailer that must not be one, and is dropped (RFC 9110 6.5.1)",
    role: h11.SERVER,
    kind: "other",
    isIn: (m) => FORBIDDEN.test(trailers(m)),
    example: `${CHUNKED}0\r\nHost: a\r\n\r\n`,
  },
  {
    name: "equal Content-Lengths in trailers, which h11 takes as one",
    role: h11.CLIENT,
    kind: "other",
    isIn: (m) => /^content-length:/im.test(trailers(m)),
    example: `${OK_CHUNKED}0\r\nContent-Length: 5, 5\r\n\r\n`,
  },
];

// The two engines.

interface Case {
  message: string;
  /** Index in METHODS of what a client asked for; 0 for a server. */
  kind: number;
}

/** What this engine makes of a message; differential.py drives h11 in the same way. */
function ours({ message, kind }: Case): string[] {
  const method = METHODS[kind];
  const conn = kind === 0 ? server() : client(method);
  const { lines } = converse(conn, message === "" ? [END] : [latin1(message), END], {
    method,
  });
  // h11 gives the value of Transfer-Encoding in lower case.
  return lines.map((line) =>
    /^(data|PAUSED) /.test(line) ? line : line.replace(/^refused .*/, "refused")
      .replaceAll(/(?<=\ntransfer-encoding: ).*/gi, (value) => value.toLowerCase())
  );
}

/** Python's h11 in a process of its own. */
class Python implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #received: Uint8Array = new Uint8Array(0);

  constructor() {
    const script = new URL("differential.py", import.meta.url).pathname;
    this.#process = new Deno.Command(PYTHON, { args: [script], stdin: "piped", stdout: "piped" })
      .spawn();
    this.#writer = this.#process.stdin.getWriter();
    this.#reader = this.#process.stdout.getReader();
  }

  /** What h11 makes of each message. */
  async make(cases: Case[]): Promise<string[][]> {
    const frames = cases.map(({ message, kind }) => {
      const frame = new Uint8Array(5 + message.length);
      new DataView(frame.buffer).setUint32(0, message.length);
      frame[4] = kind;
      frame.set(latin1(message), 5);
      return frame;
    });
    const written = this.#writer.write(joined(frames));
    const made: string[][] = [];
    const decoder = new TextDecoder();
    while (made.length < cases.length) {
      const length = new DataView((await this.#take(4)).slice().buffer).getUint32(0);
      made.push(JSON.parse(decoder.decode(await this.#take(length))));
    }
    await written;
    return made;
  }

  async #take(length: number): Promise<Uint8Array> {
    while (this.#received.length < length) {
      const { value } = await this.#reader.read();
      if (value === undefined) throw new Error("Python ended: see what it wrote above");
      this.#received = joined([this.#received, value]);
    }
    const taken = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return taken;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close();
    await this.#reader.cancel();
    await this.#process.status;
  }
}

function joined(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** What kind of difference there is, or null. */
function difference(we: string[], they: string[]): Kind | null {
  const at = we.findIndex((line, i) => line !== they[i]);
  if (at < 0) return we.length === they.length ? null : "other";
  return we[at] === "refused" ? "stricter" : they[at] === "refused" ? "laxer" : "other";
}

/** The classes that can explain a difference of this kind. */
function explanations({ message, kind }: Case, difference: Kind): Class[] {
  const role = kind === 0 ? h11.SERVER : h11.CLIENT;
  return CLASSES.filter((c) =>
    (c.role === "both" || c.role === role) && c.kind === difference &&
    c.isIn(message, METHODS[kind])
  );
}

test("Each class of differences shows in its example, and explains it alone", NEEDS, async () => {
  await using python = new Python();
  const cases = CLASSES.map(({ example, role }) => ({
    message: example,
    kind: role === h11.SERVER || (role === "both" && !example.startsWith("HTTP")) ? 0 : 1,
  }));
  const theirs = await python.make(cases);
  for (const [i, { name, kind }] of CLASSES.entries()) {
    const found = difference(ours(cases[i]), theirs[i]);
    assertEquals(found, kind, name);
    assertEquals(explanations(cases[i], found!).map((c) => c.name), [name]);
  }
});

test(
  "h11 and we make the same of messages, or a class of differences says why",
  NEEDS,
  async () => {
    const count = Number(Deno.env.get("H11_DIFFERENTIAL") ?? 20_000);
    const seed = Number(Deno.env.get("H11_SEED") ?? 1);
    await using python = new Python();
    let same = 0;
    let taken = 0;
    for (let first = 0; first < count; first += BATCH) {
      const cases: Case[] = Array.from({ length: Math.min(BATCH, count - first) }, (_, i) => {
        const random = new Random(seed * 1_000_003 + first + i);
        const kind = random.chance(0.6) ? 0 : 1 + random.below(METHODS.length - 1);
        const make = (): string => kind === 0 ? request(random) : response(random, METHODS[kind]);
        const message = make() + (random.chance(0.5) ? make() : "");
        return { message: random.chance(0.2) ? message : mutated(random, message), kind };
      });
      const theirs = await python.make(cases);
      for (const [i, input] of cases.entries()) {
        const we = ours(input);
        const found = difference(we, theirs[i]);
        if (found === null) {
          same++;
          if (!we.includes("refused")) taken++;
          continue;
        }
        assert(
          explanations(input, found).length > 0,
          `seed ${seed}, message ${first + i} to ${
            METHODS[input.kind] || "a server"
          }: nothing in ` +
            `it explains that we are ${found}\n${JSON.stringify(input.message)}\n` +
            `we  ${JSON.stringify(we)}\nh11 ${JSON.stringify(theirs[i])}`,
        );
      }
    }
    // The run means something: most messages come to the same, many of them to their end.
    assert(same > count / 2 && taken > count / 5, `${same} the same, ${taken} taken`);
  },
);
