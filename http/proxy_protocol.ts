// The PROXY protocol, versions 1 and 2: a header that a TCP load balancer sends before the first byte of a
// connection, to tell where the connection originally comes from.
//
// Source: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt

import { fromBytes, netAddr, parseIP } from "./ip_address.ts";

/** A PROXY header that has been read. */
export interface ProxyHeader {
  /** The header's length in bytes; the client's own bytes follow it. */
  length: number;
  /** The client's address; null if the header does not tell: then the socket's addresses apply. */
  source: Deno.NetAddr | null;
  /** Whether the header says that the client uses TLS; version 1 cannot. */
  isTls: boolean;
}

/** A connection does not begin with a PROXY header: its peer is not to be trusted. */
export class ProxyProtocolError extends Error {
  /** The class's name. */
  override name = "ProxyProtocolError";
}

const V1_SIGNATURE = bytesOf("PROXY ");
const V2_SIGNATURE = bytesOf("\r\n\r\n\0\r\nQUIT\n");

/** Bytes of a version 1 header at most, including its CRLF (section 2.1). */
const V1_MAX = 107;
/** Bytes that every version 2 header has: signature, command, family, length (2.2). */
const V2_FIXED = 16;

/** The type of the extension (TLV) on TLS, and the bit of its first byte for a client that uses it (2.2.6). */
const SSL = 0x20, CLIENT_SSL = 0x01;

/** Values of the byte with version and command (2.2). */
const LOCAL = 0x20, PROXY = 0x21;
/**
 * Values of the byte with address family and transport: what it means, and the bytes of the addresses (2.2).
 */
const FAMILIES: Record<number, { name: string; ipLength: number; length: number }> = {
  0x00: { name: "UNSPEC", ipLength: 0, length: 0 },
  0x11: { name: "TCP over IPv4", ipLength: 4, length: 12 },
  0x12: { name: "UDP over IPv4", ipLength: 0, length: 12 },
  0x21: { name: "TCP over IPv6", ipLength: 16, length: 36 },
  0x22: { name: "UDP over IPv6", ipLength: 0, length: 36 },
  0x31: { name: "UNIX stream", ipLength: 0, length: 216 },
  0x32: { name: "UNIX datagram", ipLength: 0, length: 216 },
};

/**
 * Reads the PROXY header at the beginning of `bytes`, which are all that has arrived over a connection.
 *
 * @returns The header, or null if more bytes are needed: at most 107 in version 1, 65,551 in version 2.
 * @throws {ProxyProtocolError} The bytes cannot become a header, whatever follows.
 */
export function parseProxyHeader(bytes: Uint8Array): ProxyHeader | null {
  if (beginsAs(bytes, V1_SIGNATURE)) return parseV1(bytes);
  if (beginsAs(bytes, V2_SIGNATURE)) return parseV2(bytes);
  throw unreadable(bytes, "expected version 1 or 2");
}

/**
 * Reads the PROXY header that a connection begins with.
 *
 * @param read Returns what arrives next; empty at the end.
 * @param maxSize Bytes that the header may have.
 * @returns The header, and what came after it; null if the connection ends first.
 * @throws {ProxyProtocolError} There is no header, or it is too long.
 */
export async function readProxyHeader(
  read: () => Promise<Uint8Array>,
  maxSize: number,
): Promise<ProxyHeader & { rest: Uint8Array } | null> {
  let received = new Uint8Array(0);
  for (;;) {
    const data = await read();
    if (data.length === 0) return null;
    const joined = new Uint8Array(received.length + data.length);
    joined.set(received);
    joined.set(data, received.length);
    received = joined;
    const header = parseProxyHeader(received);
    if (header !== null) return { ...header, rest: received.subarray(header.length) };
    if (received.length > maxSize) {
      throw new ProxyProtocolError(`Cannot read a PROXY header of more than ${maxSize} bytes`);
    }
  }
}

/** `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n` */
function parseV1(bytes: Uint8Array): ProxyHeader | null {
  const head = bytes.subarray(0, V1_MAX);
  const end = head.indexOf(LF);
  if (end < 0) {
    if (bytes.length < V1_MAX) return null;
    throw unreadable(bytes, `expected CRLF within ${V1_MAX} bytes`);
  }
  const length = end + 1;
  const line = String.fromCharCode(...head.subarray(0, length));
  if (/^PROXY UNKNOWN(?: [^\r\n]*)?\r\n$/.test(line)) {
    return { length, source: null, isTls: false };
  }
  const [, family, from, to, fromPort, toPort] = V1_LINE.exec(line) ?? Array<string>(6).fill("");
  const source = v1Addr(family, from, fromPort);
  if (source === null || v1Addr(family, to, toPort) === null) {
    throw unreadable(bytes, 'expected "PROXY TCP4" or "PROXY TCP6", two addresses and two ports');
  }
  return { length, source, isTls: false };
}
const V1_LINE =
  /^PROXY (TCP[46]) ([0-9a-fA-F:.]+) ([0-9a-fA-F:.]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})\r\n$/;
const LF = 0x0a;

function v1Addr(family: string, host: string, port: string): Deno.NetAddr | null {
  const ip = host.includes(":") === (family === "TCP6") ? parseIP(host) : null;
  return ip === null || Number(port) > 0xffff ? null : netAddr(ip, Number(port));
}

/** Signature, version and command, family and transport, length; addresses, ports, TLVs. */
function parseV2(bytes: Uint8Array): ProxyHeader | null {
  if (bytes.length > 12 && bytes[12] !== LOCAL && bytes[12] !== PROXY) {
    throw unreadable(bytes, `expected version 2 and the command LOCAL or PROXY`);
  }
  if (bytes.length < V2_FIXED) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const rest = view.getUint16(14);
  const length = V2_FIXED + rest;
  // The balancer itself connects, as a health check; the rest of the header means nothing then.
  const isLocal = bytes[12] === LOCAL;
  const family = FAMILIES[bytes[13]];
  if (!isLocal) {
    if (family === undefined) {
      throw unreadable(bytes, "expected an address family and a transport that version 2 defines");
    }
    if (rest < family.length) {
      throw unreadable(bytes, `expected ${family.length} bytes for ${family.name}, got ${rest}`);
    }
  }
  if (bytes.length < length) return null;
  if (isLocal) return { length, source: null, isTls: false };
  const isTls = tellsTls(bytes.subarray(V2_FIXED + family.length, length));
  const { ipLength } = family;
  if (ipLength === 0) return { length, source: null, isTls };
  // The addresses of source and destination, then their ports.
  const ip = fromBytes(bytes.subarray(V2_FIXED, V2_FIXED + ipLength));
  return { length, source: netAddr(ip, view.getUint16(V2_FIXED + 2 * ipLength)), isTls };
}

/** Whether one of the extensions of a header says that the client uses TLS. Whatever is cut short says nothing. */
function tellsTls(extensions: Uint8Array): boolean {
  // A byte for the type, two for the length of the value, the value (2.2).
  for (let at = 0; at + 3 < extensions.length;) {
    const [type, high, low, first] = extensions.subarray(at, at + 4);
    const next = at + 3 + high * 256 + low;
    if (type === SSL && next > at + 3 && next <= extensions.length) {
      return (first & CLIENT_SSL) !== 0;
    }
    at = next;
  }
  return false;
}

/** Whether `bytes` begin with `signature`, or with as much of it as they have room for. */
function beginsAs(bytes: Uint8Array, signature: Uint8Array): boolean {
  return signature.every((byte, at) => at >= bytes.length || bytes[at] === byte);
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

function unreadable(bytes: Uint8Array, expected: string): ProxyProtocolError {
  const beginning = JSON.stringify(String.fromCharCode(...bytes.subarray(0, 64)));
  return new ProxyProtocolError(`Cannot read PROXY header ${beginning}: ${expected}`);
}
