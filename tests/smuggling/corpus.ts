// Requests that two parties in a row may read as different numbers of requests.
//
// Each is made for a path of its own and for a second path, that of a request which one party may see and the
// other take for a part of a body. Whoever counts, counts by these paths.

/** Makes the bytes of one message. */
type Make = (path: string, hidden: string) => string;

/** One message. */
export interface Ambiguous {
  what: string;
  make: Make;
}

/** The request that may be seen or not. */
function hiddenRequest(hidden: string): string {
  return `GET ${hidden} HTTP/1.1\r\nHost: a\r\n\r\n`;
}

/** A POST with these lines for fields, as they are, and what follows its head. */
function post(path: string, lines: readonly string[], rest: string): string {
  return ["POST " + path + " HTTP/1.1", "Host: a", ...lines, "\r\n"].join("\r\n") + rest;
}

function hex(length: number): string {
  return length.toString(16);
}

// Lines that one party may take for `Transfer-Encoding: chunked`, and the other not.
const TRANSFER_ENCODINGS: readonly string[] = [
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: CHUNKED",
  "Transfer-Encoding : chunked",
  "Transfer-Encoding\t: chunked",
  " Transfer-Encoding: chunked",
  "Transfer-Encoding:\tchunked",
  "Transfer-Encoding: \x0bchunked",
  "Transfer-Encoding: \x0cchunked",
  "Transfer-Encoding: \xa0chunked",
  "Transfer-Encoding: chunked\0",
  "Transfer-Encoding: \0chunked",
  "Transfer-Encoding: xchunked",
  "Transfer-Encoding: chunkedx",
  'Transfer-Encoding: "chunked"',
  "Transfer-Encoding: 'chunked'",
  "Transfer-Encoding: chunked;q=1",
  "Transfer-Encoding: ,chunked",
  "Transfer-Encoding: chunked,",
  "Transfer-Encoding: chunked, identity",
  "Transfer-Encoding: identity, chunked",
  "Transfer-Encoding: gzip, chunked",
  "Transfer-Encoding: chunked, chunked",
  "Transfer-Encoding: identity",
  "Transfer-Encoding:",
  "Transfer-Encoding:\r\n chunked",
  "Transfer-Encoding:\n chunked",
  "Transfer-Encoding\r\n : chunked",
  "X: a\r\n\tTransfer-Encoding: chunked",
  "X: a\nTransfer-Encoding: chunked",
  "X: a\rTransfer-Encoding: chunked",
  "X: a\r\r\nTransfer-Encoding: chunked",
  "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
  "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
  "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
  "Transfer_Encoding: chunked",
  "Transfer-Encoding\0: chunked",
  "Transfer-\xc4\xb0ncoding: chunked",
  "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
];

// What one party may take for a length of `length`, and the other not.
const CONTENT_LENGTHS: readonly ((length: number) => string)[] = [
  (length) => `Content-Length: ${length}\r\nContent-Length: ${length}`,
  (length) => `Content-Length: 0\r\nContent-Length: ${length}`,
  (length) => `Content-Length: ${length}\r\nContent-Length: 0`,
  (length) => `Content-Length: ${length}, ${length}`,
  (length) => `Content-Length: ${length}, 0`,
  (length) => `Content-Length: 0, ${length}`,
  (length) => `Content-Length: +${length}`,
  (length) => `Content-Length: -${length}`,
  (length) => `Content-Length: 00${length}`,
  (length) => `Content-Length: 0x${hex(length)}`,
  (length) => `Content-Length: ${length}.0`,
  (length) => `Content-Length: ${length}e0`,
  (length) => `Content-Length: ${length} 0`,
  (length) => `Content-Length: "${length}"`,
  (length) => `Content-Length: ${length};a`,
  (length) => `Content-Length: \x0b${length}`,
  (length) => `Content-Length: ${length}\0`,
  (length) => `Content-Length:\t${length}\t`,
  (length) => `Content-Length: ${2n ** 64n + BigInt(length)}`,
  (length) => `Content-Length: ${2n ** 32n + BigInt(length)}`,
  (length) => `Content-Length:\r\n ${length}`,
  (length) => `Content-Length : ${length}`,
  (length) => ` Content-Length: ${length}`,
  (length) => `Content_Length: ${length}`,
  (length) => `Content-Length\0: ${length}`,
  (length) => `X: a\nContent-Length: ${length}`,
  (length) => `X: a\rContent-Length: ${length}`,
  (length) => `Connection: Content-Length\r\nContent-Length: ${length}`,
  (length) => `Connection: close, Content-Length\r\nContent-Length: ${length}`,
];

// Bodies in chunks that may end in different places.
const CHUNKED: readonly ((hidden: string) => string)[] = [
  (hidden) => `0\r\n\r\n${hidden}`,
  (hidden) => `00000000000000000000\r\n\r\n${hidden}`,
  (hidden) => `0\n\r\n${hidden}`,
  (hidden) => `0\r\n\n${hidden}`,
  (hidden) => `0\n\n${hidden}`,
  (hidden) => `0\r\r\n${hidden}`,
  (hidden) => `0 \r\n\r\n${hidden}`,
  (hidden) => `0;a\r\n\r\n${hidden}`,
  (hidden) => `0;a="\r\n\r\n${hidden}`,
  (hidden) => `0\r\nX: a\r\n\r\n${hidden}`,
  (hidden) => `0\r\nX: a\n\r\n${hidden}`,
  (hidden) => `0\r\nX: a\n\n${hidden}`,
  (hidden) => `0\r\nX\r\n\r\n${hidden}`,
  (hidden) => `0\r\nX : a\r\n\r\n${hidden}`,
  (hidden) => `0\r\n ${hidden}`,
  (hidden) => `0\r\n${hidden}`,
  (hidden) => `0\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`,
  (hidden) => `0\r\nTransfer-Encoding: chunked\r\n\r\n${hidden}`,
  (hidden) => `${hex(hidden.length)}\r\n${hidden}\r\n0\r\n\r\n`,
  (hidden) => `${hex(hidden.length)}\n${hidden}\n0\n\n`,
  (hidden) => `${hex(hidden.length)}\r${hidden}\r0\r\r`,
  (hidden) => `${hex(hidden.length)}\r\n${hidden}0\r\n\r\n`,
  (hidden) => `0x${hex(hidden.length)}\r\n${hidden}\r\n0\r\n\r\n`,
  (hidden) => `+${hex(hidden.length)}\r\n${hidden}\r\n0\r\n\r\n`,
  (hidden) => `-0\r\n\r\n${hidden}`,
  (hidden) => `0_${hex(hidden.length)}\r\n${hidden}\r\n0\r\n\r\n`,
  (hidden) => `0 ${hex(hidden.length)}\r\n${hidden}\r\n0\r\n\r\n`,
  (hidden) => ` ${hex(hidden.length)}\r\n${hidden}\r\n0\r\n\r\n`,
  (hidden) => `1${hex(hidden.length).padStart(16, "0")}\r\n${hidden}\r\n0\r\n\r\n`,
  (hidden) => `1${hex(hidden.length).padStart(8, "0")}\r\n${hidden}\r\n0\r\n\r\n`,
  // An extension that ends at the LF for one party, and at the CRLF for the other.
  (hidden) => `2;\nxx\r\n${hex(hidden.length + 5)}\r\n0\r\n\r\n${hidden}\r\n0\r\n\r\n`,
  (hidden) => `2;a\nxx\r\n${hex(hidden.length + 5)}\r\n0\r\n\r\n${hidden}\r\n0\r\n\r\n`,
  (hidden) => `2;\rxx\r\n${hex(hidden.length + 5)}\r\n0\r\n\r\n${hidden}\r\n0\r\n\r\n`,
  (hidden) => `5;a="\n"\r\nhello\r\n0\r\n\r\n${hidden}`,
  (hidden) => `5;a=b;c\r\nhello\r\n0;d\r\n\r\n${hidden}`,
  (hidden) => `5 ; a = b\r\nhello\r\n0\r\n\r\n${hidden}`,
  // Two bytes after a chunk that are passed over unread.
  (hidden) => `5\r\nhelloXX${hex(hidden.length)}\r\n${hidden}\r\n0\r\n\r\n`,
  (hidden) => `5\r\nhello\n${hex(hidden.length)}\r\n${hidden}\r\n0\r\n\r\n`,
  (hidden) => `3\r\nhello\r\n0\r\n\r\n${hidden}`,
  (hidden) => `9\r\nhello\r\n0\r\n\r\n${hidden}`,
  (hidden) => `5\r\nhello\r\n\r\n${hidden}`,
  (hidden) => `5\r\nhello\r\n${hidden}`,
];

// Whole messages.
const OTHERS: Record<string, Make> = {
  "two requests": (p, s) => get(p) + get(s),
  "ten requests": (p, s) => get(p).repeat(9) + get(s),
  "a CRLF between requests": (p, s) => `${get(p)}\r\n${get(s)}`,
  "many CRLFs between requests": (p, s) => `${get(p)}\r\n\r\n\r\n${get(s)}`,
  "a bare LF between requests": (p, s) => `${get(p)}\n${get(s)}`,
  "spaces between requests": (p, s) => `${get(p)}  ${get(s)}`,
  "a HEAD and a GET": (p, s) => `HEAD ${p} HTTP/1.1\r\nHost: a\r\n\r\n${get(s)}`,
  "a HEAD with a body": (p, s) => withBody("HEAD", p, s),
  "a GET with a body": (p, s) => withBody("GET", p, s),
  "a DELETE with a body": (p, s) => withBody("DELETE", p, s),
  "an OPTIONS with a body": (p, s) => withBody("OPTIONS", p, s),
  "a TRACE with a body": (p, s) => withBody("TRACE", p, s),
  "a method of its own with a body": (p, s) => withBody("BREW", p, s),
  "a GET in chunks": (p, s) =>
    `GET ${p} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${get(s)}`,
  "bare LFs": (p, s) => (get(p) + get(s)).replaceAll("\r\n", "\n"),
  "bare CRs": (p, s) => get(p).replaceAll("\r\n", "\r") + get(s),
  "a bare LF before the empty line": (p, s) => `GET ${p} HTTP/1.1\r\nHost: a\n\r\n${get(s)}`,
  "a bare LF as the empty line": (p, s) => `GET ${p} HTTP/1.1\r\nHost: a\r\n\n${get(s)}`,
  "CR CR LF as the empty line": (p, s) => `GET ${p} HTTP/1.1\r\nHost: a\r\n\r\r\n${get(s)}`,
  "a fold over a request": (p, s) =>
    `GET ${p} HTTP/1.1\r\nHost: a\r\nX: a\r\n GET ${s} HTTP/1.1\r\n\r\n`,
  "a request in a value, after CR": (p, s) => `GET ${p} HTTP/1.1\r\nHost: a\r\nX: a\r\r${get(s)}`,
  "a request in a value, after LF": (p, s) => `GET ${p} HTTP/1.1\r\nHost: a\r\nX: a\n\n${get(s)}`,
  "a request in a value, after NUL": (p, s) =>
    `GET ${p} HTTP/1.1\r\nHost: a\r\nX: a\0\r\n\r\n${get(s)}`,
  "no colon": (p, s) => `GET ${p} HTTP/1.1\r\nHost: a\r\nX\r\n\r\n${get(s)}`,
  "an absolute-form of another host": (p, s) =>
    `GET http://b${p} HTTP/1.1\r\nHost: a\r\n\r\n${get(s)}`,
  "two Hosts": (p, s) => `GET ${p} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n${get(s)}`,
  "no Host": (p, s) => `GET ${p} HTTP/1.1\r\n\r\n${get(s)}`,
  "a Host that ends the option Connection": (p, s) =>
    `GET ${p} HTTP/1.1\r\nHost: a\r\nConnection: Host\r\n\r\n${get(s)}`,
  "two spaces in the request line": (p, s) => `GET  ${p} HTTP/1.1\r\nHost: a\r\n\r\n${get(s)}`,
  "a space after the version": (p, s) => `GET ${p} HTTP/1.1 \r\nHost: a\r\n\r\n${get(s)}`,
  "a space in the target": (p, s) => `GET ${p} x HTTP/1.1\r\nHost: a\r\n\r\n${get(s)}`,
  "HTAB in the request line": (p, s) => `GET\t${p}\tHTTP/1.1\r\nHost: a\r\n\r\n${get(s)}`,
  "a fragment": (p, s) => `GET ${p}#b HTTP/1.1\r\nHost: a\r\n\r\n${get(s)}`,
  "bytes over 0x7F in the target": (p, s) => `GET ${p}\xff HTTP/1.1\r\nHost: a\r\n\r\n${get(s)}`,
  "HTTP/0.9": (p, s) => `GET ${p}\r\n\r\n${get(s)}`,
  "HTTP/1.2": (p, s) => `GET ${p} HTTP/1.2\r\nHost: a\r\n\r\n${get(s)}`,
  "HTTP/1.10": (p, s) => `GET ${p} HTTP/1.10\r\nHost: a\r\n\r\n${get(s)}`,
  "HTTP/1.0": (p, s) => `GET ${p} HTTP/1.0\r\nHost: a\r\n\r\n${get(s)}`,
  "HTTP/1.0 with keep-alive": (p, s) =>
    `GET ${p} HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n${get(s)}`,
  "HTTP/1.0 in chunks": (p, s) =>
    `POST ${p} HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${get(s)}`,
  "HTTP/1.0 in chunks with keep-alive": (p, s) =>
    `POST ${p} HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n` +
    `0\r\n\r\n${get(s)}`,
  "HTTP/1.0 in chunks with a length": (p, s) =>
    `POST ${p} HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n` +
    `Content-Length: 5\r\n\r\n0\r\n\r\n${get(s)}`,
  "close, and one more": (p, s) =>
    `GET ${p} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n${get(s)}`,
  "an upgrade to h2c": (p, s) =>
    `GET ${p} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n` +
    `HTTP2-Settings: AAMAAABkAAQ\r\n\r\n${get(s)}`,
  "an upgrade to h2c with its preface": (p) =>
    `GET ${p} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n` +
    "HTTP2-Settings: AAMAAABkAAQ\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "an upgrade to a WebSocket": (p, s) =>
    `GET ${p} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n${get(s)}`,
  "an upgrade to a WebSocket of a wrong version": (p, s) =>
    `GET ${p} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 777\r\n\r\n${get(s)}`,
  "an upgrade with a body": (p, s) =>
    post(
      p,
      ["Connection: Upgrade", "Upgrade: websocket", `Content-Length: ${get(s).length}`],
      get(s),
    ),
  "HTTP/2's preface": (p, s) => `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${get(p)}${get(s)}`,
  "CONNECT": (p, s) => `CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n${get(p)}${get(s)}`,
  "100-continue with its body": (p, s) =>
    post(p, ["Expect: 100-continue", `Content-Length: ${get(s).length}`], get(s)),
  "100-continue without a body": (p, s) => post(p, ["Expect: 100-continue"], get(s)),
  "100-continue in chunks": (p, s) =>
    post(p, ["Expect: 100-continue", "Transfer-Encoding: chunked"], `0\r\n\r\n${get(s)}`),
  "an expectation that nobody knows": (p, s) =>
    post(p, ["Expect: 200-ok", `Content-Length: ${get(s).length}`], get(s)),
  "two expectations": (p, s) =>
    post(p, ["Expect: 100-continue, x", `Content-Length: ${get(s).length}`], get(s)),
  "an obscured 100-continue": (p, s) =>
    post(p, ["Expect: y 100-continue", `Content-Length: ${get(s).length}`], get(s)),
  "100-continue that is answered early": (p, s) =>
    post(p + "/early", ["Expect: 100-continue", `Content-Length: ${get(s).length}`], get(s)),
  "a body that nobody reads": (p, s) =>
    post(p + "/early", [`Content-Length: ${get(s).length}`], get(s)),
  "chunks that nobody reads": (p, s) =>
    post(
      p + "/early",
      ["Transfer-Encoding: chunked"],
      `${hex(get(s).length)}\r\n${get(s)}\r\n0\r\n\r\n`,
    ),
  "chunks that nobody reads and are none": (p, s) =>
    post(p + "/early", ["Transfer-Encoding: chunked"], `x\r\n\r\n${get(s)}`),
  "a body of 200,000 bytes that nobody reads": (p, s) =>
    post(p + "/early", ["Content-Length: 200000"], get(s).repeat(7_000).slice(0, 200_000)),
  "a body that does not come whole": (p, s) =>
    post(p, [`Content-Length: ${2 * get(s).length + 1_000}`], get(s)),
  "a body that does not come whole, nor is read": (p, s) =>
    post(p + "/early", [`Content-Length: ${2 * get(s).length + 1_000}`], get(s)),
};

function get(path: string): string {
  return hiddenRequest(path);
}

/** A request whose body looks like a request. */
function withBody(method: string, path: string, hidden: string): string {
  const body = get(hidden);
  return `${method} ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

/** A line of fields as it is shown. */
function shown(line: string): string {
  return JSON.stringify(line);
}

/** All of them. */
export const CORPUS: readonly Ambiguous[] = [
  ...TRANSFER_ENCODINGS.flatMap((line): Ambiguous[] => [
    {
      what: `${shown(line)} and a Content-Length that ends later`,
      make: (path, hidden) => {
        const body = `0\r\n\r\n${hiddenRequest(hidden)}`;
        return post(path, [`Content-Length: ${body.length}`, line], body);
      },
    },
    {
      what: `${shown(line)} and a Content-Length that ends sooner`,
      make: (path, hidden) => {
        const request = hiddenRequest(hidden);
        const size = `${hex(request.length)}\r\n`;
        return post(
          path,
          [line, `Content-Length: ${size.length}`],
          `${size}${request}\r\n0\r\n\r\n`,
        );
      },
    },
    {
      what: `${shown(line)} alone`,
      make: (path, hidden) => post(path, [line], `0\r\n\r\n${hiddenRequest(hidden)}`),
    },
  ]),
  ...CONTENT_LENGTHS.map((line): Ambiguous => ({
    what: shown(line(5)),
    make: (path, hidden) => {
      const request = hiddenRequest(hidden);
      return post(path, [line(request.length)], request);
    },
  })),
  ...CHUNKED.map((body): Ambiguous => ({
    what: `chunks ${shown(body("…"))}`,
    make: (path, hidden) => post(path, ["Transfer-Encoding: chunked"], body(hiddenRequest(hidden))),
  })),
  ...Object.entries(OTHERS).map(([what, make]): Ambiguous => ({ what, make })),
];
