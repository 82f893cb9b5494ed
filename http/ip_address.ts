// IP addresses as text: one spelling for each, whoever wrote it.

import ipaddr from "ipaddr.js";

/** A parsed address. */
export type IPAddress = ipaddr.IPv4 | ipaddr.IPv6;

/**
 * Parses an address; null where it is none. IPv4 is four decimal numbers and nothing else: to some programs
 * `010.1` is 8.0.0.1 and to others 10.0.0.1. IPv4 in IPv6 (`::ffff:10.0.0.1`) becomes IPv4 (RFC 4291 2.5.5.2).
 */
export function parseIP(text: string): IPAddress | null {
  const isIP = ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
  return isIP ? ipaddr.process(text) : null;
}

/** The address of 4 or 16 bytes. */
export function ipOfBytes(bytes: Uint8Array): IPAddress {
  return ipaddr.process(ipaddr.fromByteArray([...bytes]).toString());
}

/** A TCP address, spelled as Deno spells those of sockets (RFC 5952). */
export function netAddr(ip: IPAddress, port: number): Deno.NetAddr {
  const hostname = "toRFC5952String" in ip ? ip.toRFC5952String() : ip.toString();
  return { transport: "tcp", hostname, port };
}
