// IP addresses as text: the same spelling for equal addresses, whatever their source.

/** A parsed address. */
export interface IPAddress {
  /** Its 4 or 16 bytes. */
  readonly bytes: Uint8Array;
  /** Its canonical spelling: that of RFC 5952 for IPv6. */
  readonly text: string;
}

/**
 * Parses an address; null if it is not valid. IPv4 is four decimal numbers without leading zeros and nothing
 * else: to some programs `010.1` is 8.0.0.1 and to others 10.0.0.1. An IPv4-mapped IPv6 address
 * (`::ffff:10.0.0.1`) becomes IPv4 (RFC 4291 2.5.5.2).
 */
export function parseIP(text: string): IPAddress | null {
  if (IPV4.test(text)) return { bytes: Uint8Array.from(text.split("."), Number), text };
  if (!/^[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text)) return null;
  // The platform's own parser (URL 3.5); its serializer compresses as RFC 5952 requires.
  const parsed = URL.parse(`http://[${text}]`);
  return parsed && fromBytes(bytesOfIPv6(parsed.hostname.slice(1, -1)));
}
const BYTE = "(?:0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])";
const IPV4 = new RegExp(`^${BYTE}(?:\\.${BYTE}){3}$`);

/** The bytes of an IPv6 address in the spelling of a URL. */
function bytesOfIPv6(text: string): Uint8Array {
  const [before, after] = text.split("::").map((half) => half === "" ? [] : half.split(":"));
  const zeros = Array<string>(8 - before.length - (after?.length ?? 0)).fill("0");
  const groups = [...before, ...zeros, ...after ?? []].map((group) => parseInt(group, 16));
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

/** The address that consists of these 4 or 16 bytes. */
export function fromBytes(bytes: Uint8Array): IPAddress {
  const isIPv4 = bytes.length === 4 || IPV4_IN_IPV6.every((byte, at) => bytes[at] === byte);
  if (isIPv4) return { bytes: bytes.slice(-4), text: bytes.slice(-4).join(".") };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(2 * i).toString(16));
  const { hostname } = new URL(`http://[${groups.join(":")}]`);
  return { bytes: bytes.slice(), text: hostname.slice(1, -1) };
}
const IPV4_IN_IPV6 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/**
 * The key by which a limit per address counts a client: its IPv4 address, or the first 64 bits of its IPv6
 * address, because the client can choose the other 64 (RFC 4291 2.5.1).
 */
export function countedAs(address: string): string {
  const ip = address.includes(":") ? parseIP(address) : null;
  if (ip === null) return address;
  return ip.bytes.length === 4 || SHARED.test(ip.text)
    ? ip.text
    : ip.bytes.subarray(0, 8).join(".");
}
/** Networks whose first 64 bits belong to no client: NAT64 (RFC 6052 2.1), link-local (RFC 4291 2.5.6). */
const SHARED = /^(?:64:ff9b::|fe80::)/;

/** Whether two addresses have the same first `bits` bits. */
export function isInRange(ip: IPAddress, network: IPAddress, bits: number): boolean {
  if (ip.bytes.length !== network.bytes.length) return false;
  return ip.bytes.every((byte, at) => {
    const left = Math.min(8, Math.max(0, bits - 8 * at));
    return (byte ^ network.bytes[at]) >> (8 - left) === 0;
  });
}

/** A TCP address, spelled as Deno spells those of sockets. */
export function netAddr(ip: IPAddress, port: number): Deno.NetAddr {
  return { transport: "tcp", hostname: ip.text, port };
}
