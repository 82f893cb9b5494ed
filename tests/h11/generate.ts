// Messages made at random: valid ones, and ones that a mutation broke or did not. Bodies are letters
// only, so that what stands out in the bytes of a message stands in its heads and its framing.

import type { Random } from "./random.ts";

const LETTERS = "abcdefghijklmnopqrstuvwxyz";

function word(random: Random, most = 8): string {
  return random.some(1, most, () => random.pick([...LETTERS])).join("");
}

const NAMES = ["X", "x-a", "Accept", "User-Agent", "COOKIE", "Te", "Via", "Y.1", "Content-Type"];
const VALUES = ["", "a", "text/html;q=0.9, */*", "a b\tc", "\xe9\xff", '"q"', "0", ":;,", "close"];

function fields(random: Random): string[] {
  return random.some(
    0,
    4,
    () =>
      random.pick(NAMES) + ":" + random.pick([" ", " ", "", "\t "]) + random.pick(VALUES) +
      random.pick(["", "", " "]),
  );
}

function connection(random: Random): string[] {
  return random.pick([[], [], [], ["Connection: keep-alive"], ["Connection: close"], [
    "connection: a, Keep-Alive",
  ]]);
}

/** The fields that frame a body, and the body. */
function framed(random: Random): [fields: string[], body: string] {
  if (random.chance(0.5)) {
    const body = random.chance(0.2) ? "" : word(random, 40);
    return [[random.pick(["Content-Length: ", "content-length:"]) + body.length], body];
  }
  const extension = (): string => random.pick(["", "", "", ";a", ";a=b", ';a="b c"', ";a;b=c"]);
  const chunks = random.some(0, 3, () => {
    const data = word(random, 30);
    return `${data.length.toString(16)}${extension()}\r\n${data}\r\n`;
  });
  const trailers = random.chance(0.7)
    ? []
    : random.some(1, 2, () => `X-Sum: ${random.pick(VALUES).trim()}`);
  return [
    [random.pick(["Transfer-Encoding: chunked", "transfer-encoding:Chunked"])],
    [...chunks, `0${extension()}`, "\r\n", ...trailers.map((line) => line + "\r\n"), "\r\n"].join(
      "",
    ),
  ];
}

/** The elements in another order. */
function shuffled<T>(random: Random, elements: T[]): T[] {
  const result: T[] = [];
  for (const element of elements) result.splice(random.below(result.length + 1), 0, element);
  return result;
}

/** A valid request, and now and then the start of a tunnel or an upgrade. */
export function request(random: Random): string {
  const version = random.chance(0.15) ? "1.0" : "1.1";
  const method = random.pick(["GET", "GET", "POST", "HEAD", "OPTIONS", "CONNECT", "PURGE"]);
  const target = method === "CONNECT"
    ? random.pick(["a:443", "[::1]:80"])
    : method === "OPTIONS"
    ? random.pick(["*", "/a"])
    : random.pick(["/", "/a/b?c=d&e", "http://a:80/b", "/%20"]);
  let [framing, body] = random.chance(0.5) ? framed(random) : [[], ""];
  if (version === "1.0" && framing[0]?.toLowerCase().startsWith("transfer")) {
    [framing, body] = [[], ""];
  }
  const extra = random.pick([[], [], [], [], ["Expect: 100-continue"], [
    "Upgrade: b",
    "Connection: upgrade",
  ]]);
  const host = random.pick(["Host: a", "host:a:80", "HOST: [::1]", "Host: b.example"]);
  const lines = shuffled(random, [
    host,
    ...framing,
    ...fields(random),
    ...connection(random),
    ...(version === "1.0" ? [] : extra),
  ]);
  return [`${method} ${target} HTTP/${version}`, ...lines, "\r\n"].join("\r\n") + body;
}

/** A valid response to a request of `method`. */
export function response(random: Random, method: string): string {
  const interim = random.chance(0.2)
    ? random.some(1, 2, () => `HTTP/1.1 ${random.pick([100, 102, 103])} x\r\nLink: a\r\n\r\n`)
    : [];
  const version = random.chance(0.15) ? "1.0" : "1.1";
  const statusCode = random.pick([200, 200, 200, 201, 204, 304, 404, 500, 999]);
  const reason = random.pick([" OK", " ", "", " a\tb", " \xe9"]);
  const [framing, body] = random.chance(0.8) ? framed(random) : [[], word(random)];
  const hasNoBody = method === "HEAD" || statusCode === 204 || statusCode === 304 ||
    (method === "CONNECT" && statusCode < 300);
  const lines = shuffled(random, [...framing, ...fields(random), ...connection(random)]);
  return interim.join("") +
    [`HTTP/${version} ${statusCode}${reason}`, ...lines, "\r\n"].join("\r\n") +
    (hasNoBody ? "" : body);
}

/** What messages break on, or should. */
const FRAGMENTS = [
  ...["\r\n", "\n", "\r", " ", "\t", "\0", "\x01", "\x0b", "\x7f", "\x80", "\xff", ":", ";", ","],
  ...[
    "=",
    '"',
    "\\",
    "0",
    "-",
    "+",
    "/",
    "#",
    "*",
    "@",
    "[",
    "]",
    "%",
    "\r\n\r\n",
    "\n\n",
    "\r\r\n",
  ],
  ...["\r\n ", "\r\n\t", "\n ", " :", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/1.9", "http/1.1"],
  ...["5\r\n", "0\r\n\r\n", ";a=b", "; a", " ;a", ";a b", ';a="', "ffffffffffffffffff", "x", "0x"],
];
const LINES = [
  ...["Content-Length: 5", "Content-Length: 0", "Content-Length: 5, 5", "Content-Length: 05"],
  ...["Content-Length: +5", "Content-Length: 5 5", "Content-Length:", "Content-Length: 1e1"],
  ...["Content-Length: 9007199254740992", "Content-Length : 5", "Content-Length: -1"],
  ...["Transfer-Encoding: chunked", "Transfer-Encoding: gzip", "Transfer-Encoding:"],
  ...["Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, chunked"],
  ...["Transfer-Encoding: identity", "Transfer-Encoding : chunked", "Transfer-Encoding: ,chunked"],
  ...["Host: a", "Host: b c", "Host:", "Host: a:b", "Host: [::1", "Host: u@a"],
  ...["Connection: close", "Connection: keep-alive", "Connection: upgrade", "Upgrade: b"],
  ...["Expect: 100-continue", "Expect: b", ": a", "X", " folded", "\tfolded", "X: a\x01b", "X : a"],
];

const MUTATIONS: ((random: Random, message: string) => string)[] = [
  // Bytes.
  (random, m) => splice(m, random.below(m.length), 1, ""),
  (random, m) => splice(m, random.below(m.length), 1, String.fromCharCode(random.below(256))),
  (random, m) => splice(m, random.below(m.length), 0, String.fromCharCode(random.below(256))),
  (random, m) => m.slice(0, random.below(m.length)),
  (random, m) => {
    const from = random.below(m.length);
    return splice(m, random.below(m.length), 0, m.slice(from, from + 1 + random.below(20)));
  },
  // The grammar.
  (random, m) => splice(m, random.below(m.length), 0, random.pick(FRAGMENTS)),
  (random, m) => {
    const at = position(random, m, /\r\n/g);
    return splice(m, at, at < m.length ? 2 : 0, random.pick(FRAGMENTS));
  },
  (random, m) => splice(m, position(random, m, /\r\n/g), 0, random.pick(FRAGMENTS)),
  (random, m) => splice(m, position(random, m, /[:; ,=]/g), 0, random.pick(FRAGMENTS)),
  (random, m) => splice(m, position(random, m, /[:; ,=]/g), 1, random.pick(FRAGMENTS)),
  (random, m) => splice(m, position(random, m, /(?<=\r\n)/g), 0, random.pick(LINES) + "\r\n"),
  (random, m) => splice(m, position(random, m, /(?<=\r\n)/g), 0, random.pick(LINES) + "\r\n"),
  (random, m) => {
    const lines = m.split("\r\n");
    const at = random.below(lines.length);
    lines.splice(random.below(lines.length), 0, ...lines.splice(at, 1));
    return lines.join("\r\n");
  },
  (random, m) => {
    const lines = m.split("\r\n");
    lines.splice(random.below(lines.length), 1);
    return lines.join("\r\n");
  },
  (random, m) => splice(m, position(random, m, /[A-Za-z]/g), 1, word(random, 1).toUpperCase()),
];

function splice(message: string, at: number, deleted: number, inserted: string): string {
  return message.slice(0, at) + inserted + message.slice(at + deleted);
}

/** Where one of the matches of `pattern` begins; the end of the message where there is none. */
function position(random: Random, message: string, pattern: RegExp): number {
  const places = Array.from(message.matchAll(pattern), ({ index }) => index);
  return places.length === 0 ? message.length : random.pick(places);
}

/** The message after 1 to 3 random changes. */
export function mutated(random: Random, message: string): string {
  for (let i = random.pick([1, 1, 1, 2, 3]); i > 0 && message !== ""; i--) {
    message = random.pick(MUTATIONS)(random, message);
  }
  return message;
}

/** The message cut into random pieces, none of them empty. */
export function cut(random: Random, message: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < message.length;) {
    const size = 1 + random.below(random.pick([2, 10, 100, 1000]));
    pieces.push(message.subarray(at, at += size));
  }
  return pieces;
}
