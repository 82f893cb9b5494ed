import { assertEquals, assertThrows } from "@std/assert";
import { parseProxyHeader, ProxyProtocolError } from "../../http/proxy_protocol.ts";
import { latin1 } from "./raw_client.ts";

const V2 = "\r\n\r\n\0\r\nQUIT\n";
const IPV4 = "\xc0\0\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb";
const IPV6 = `\x20\x01\x0d\xb8${"\0".repeat(11)}\x01${"\0".repeat(15)}\x01\xdc\x04\x01\xbb`;
const MAPPED = `${"\0".repeat(10)}\xff\xff\xc0\0\x02\x01${"\0".repeat(15)}\x01\xdc\x04\x01\xbb`;
const LONGEST =
  "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535 and what else a proxy may have to say of itself\r\n";

// A header, and the source in it; null where it tells none.
const READ: [what: string, header: string, source: string | null][] = [
  [
    "TCP4",
    "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
    "192.0.2.1 56324",
  ],
  ["TCP6", "PROXY TCP6 2001:DB8:0::1 ::1 0 65535\r\n", "2001:db8::1 0"],
  ["IPv4 in TCP6", "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "192.0.2.1 1"],
  ["UNKNOWN", "PROXY UNKNOWN\r\n", null],
  ["the longest UNKNOWN", LONGEST, null],
  ["v2 over IPv4", `${V2}\x21\x11\0\x0c${IPV4}`, "192.0.2.1 56324"],
  ["v2 over IPv6", `${V2}\x21\x21\0\x24${IPV6}`, "2001:db8::1 56324"],
  ["v2 of IPv4 in IPv6", `${V2}\x21\x21\0\x24${MAPPED}`, "192.0.2.1 56324"],
  [
    "v2 with TLVs",
    `${V2}\x21\x11\0\x12${IPV4}\x04\0\x03abc`,
    "192.0.2.1 56324",
  ],
  [
    "v2 of a client without TLS",
    `${V2}\x21\x11\0\x14${IPV4}\x20\0\x05\0\0\0\0\0`,
    "192.0.2.1 56324",
  ],
  [
    "v2 with a TLV that is cut short",
    `${V2}\x21\x11\0\x10${IPV4}\x20\0\x05\x01`,
    "192.0.2.1 56324",
  ],
  ["v2 with an empty TLV on TLS", `${V2}\x21\x11\0\x10${IPV4}\x20\0\0\x01`, "192.0.2.1 56324"],
  ["v2 with more than 255 bytes", `${V2}\x20\0\x01\x02${"a".repeat(258)}`, null],
  ["v2 LOCAL", `${V2}\x20\0\0\0`, null],
  ["v2 LOCAL with addresses", `${V2}\x20\x11\0\x0c${IPV4}`, null],
  ["v2 LOCAL of a family to come", `${V2}\x20\x41\0\x01a`, null],
  ["v2 UNSPEC", `${V2}\x21\0\0\x03abc`, null],
  ["v2 over UDP", `${V2}\x21\x12\0\x0c${IPV4}`, null],
  ["v2 over a Unix socket", `${V2}\x21\x31\0\xd8${"a".repeat(216)}`, null],
];

// A header that says that the client uses TLS, in an extension of its own.
const TLS: typeof READ = [
  ["v2 over IPv4 with TLS", `${V2}\x21\x11\0\x14${IPV4}\x20\0\x05\x01\0\0\0\0`, "192.0.2.1 56324"],
  [
    "v2 over IPv6 with TLS after another TLV",
    `${V2}\x21\x21\0\x32${IPV6}\x04\0\x03abc\x20\0\x05\x07\0\0\0\0`,
    "2001:db8::1 56324",
  ],
  [
    "v2 over a Unix socket with TLS",
    `${V2}\x21\x31\0\xe0${"a".repeat(216)}\x20\0\x05\x01\0\0\0\0`,
    null,
  ],
];

for (const [what, header, source] of [...READ, ...TLS]) {
  const isTls = TLS.some(([other]) => other === what);
  Deno.test(`parseProxyHeader() reads ${what}, however it comes`, () => {
    const bytes = latin1(header + "GET / HTTP/1.1\r\n");
    for (let count = 0; count < header.length; count++) {
      assertEquals(parseProxyHeader(bytes.subarray(0, count)), null);
    }
    const expected = { length: header.length, source: addr(source), isTls };
    for (let count = header.length; count <= bytes.length; count++) {
      assertEquals(parseProxyHeader(bytes.subarray(0, count)), expected);
    }
  });
}

function addr(text: string | null): Deno.NetAddr | null {
  if (text === null) return null;
  const [hostname, port] = text.split(" ");
  return { transport: "tcp", hostname, port: Number(port) };
}

const FIVE = 'expected "PROXY TCP4" or "PROXY TCP6", two addresses and two ports';
const FAMILY = "expected an address family and a transport that version 2 defines";
const COMMAND = "expected version 2 and the command LOCAL or PROXY";

// What is refused as soon as these bytes are there, and not before.
const REFUSED: [what: string, bytes: string, message: string][] = [
  ["a request", "G", 'Cannot read PROXY header "G": expected version 1 or 2'],
  ["a request whose method begins so", "PO", 'header "PO": expected version 1 or 2'],
  ["a signature that ends otherwise", `${V2.slice(0, -1)}\r`, "expected version 1 or 2"],
  ["a bare LF", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", FIVE],
  ["a line that is too long", `PROXY UNKNOWN ${"a".repeat(93)}`, "expected CRLF within 107 bytes"],
  ["an unknown protocol", "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", FIVE],
  ["UNKNOWN as a part of a word", "PROXY UNKNOWNS\r\n", FIVE],
  ["IPv6 in TCP4", "PROXY TCP4 ::1 ::2 1 2\r\n", FIVE],
  ["IPv4 in TCP6", "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", FIVE],
  ["an address that is none", "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n", FIVE],
  ["an address with leading zeros", "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n", FIVE],
  ["a port over 65535", "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", FIVE],
  ["a port with leading zeros", "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", FIVE],
  ["two spaces", "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", FIVE],
  ["a word too few", "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", FIVE],
  ["a word too many", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", FIVE],
  ["version 1 in the signature of 2", `${V2}\x11`, COMMAND],
  ["a command to come", `${V2}\x22`, COMMAND],
  ["a family to come", `${V2}\x21\x41\0\x0c`, FAMILY],
  ["a transport without its family", `${V2}\x21\x01\0\x0c`, FAMILY],
  ["too few bytes for its family", `${V2}\x21\x11\0\x0b`, "12 bytes for TCP over IPv4, got 11"],
];

for (const [what, refused, message] of REFUSED) {
  Deno.test(`parseProxyHeader() refuses ${what}`, () => {
    const bytes = latin1(refused);
    for (let count = 0; count < bytes.length; count++) {
      assertEquals(parseProxyHeader(bytes.subarray(0, count)), null);
    }
    assertThrows(() => parseProxyHeader(bytes), ProxyProtocolError, message);
  });
}
