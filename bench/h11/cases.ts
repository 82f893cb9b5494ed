// The inputs of the engine's benchmarks, the same for all peers.

/** A GET as a browser sends it: 12 fields. */
export const BROWSER_GET = [
  "GET /user/bob?x=1 HTTP/1.1",
  "Host: 127.0.0.1:8000",
  "Connection: keep-alive",
  'sec-ch-ua: "Chromium";v="128", "Not;A=Brand";v="24"',
  "sec-ch-ua-mobile: ?0",
  "Upgrade-Insecure-Requests: 1",
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) " +
  "Chrome/128.0.0.0 Safari/537.36",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp," +
  "image/apng,*/*;q=0.8",
  "Sec-Fetch-Site: none",
  "Sec-Fetch-Mode: navigate",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
  "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; a=1234567890",
  "\r\n",
].join("\r\n");

/** What has to come out of it: each peer is asked for this before it is timed. */
export const BROWSER_GET_READ: Read = {
  method: "GET",
  target: "/user/bob?x=1",
  headers: BROWSER_GET.split("\r\n").slice(1, -2).map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 2)];
  }),
};

/** What a parser reads in a request. */
export interface Read {
  method: string;
  target: string;
  headers: [name: string, value: string][];
}

/** The head that answers it; its body is empty. */
export const ANSWER_FIELDS: [name: string, value: string][] = [
  ["Content-Type", "text/plain; charset=utf-8"],
  ["Content-Length", "0"],
  ["Date", "Sun, 22 Nov 2026 12:00:00 GMT"],
];

/** Bytes of the body of `CHUNKED_POST`. */
export const CHUNKED_BODY_SIZE = 1024 * 1024;

/** A POST of 1 MiB in chunks of 16 KiB, as it comes from a socket: in pieces of 64 KiB. */
export const CHUNKED_POST: Uint8Array[] = pieces(
  new TextEncoder().encode(
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
      `4000\r\n${"x".repeat(16 * 1024)}\r\n`.repeat(64) + "0\r\n\r\n",
  ),
  64 * 1024,
);

function pieces(bytes: Uint8Array, size: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.slice(at, at + size));
  return pieces;
}
