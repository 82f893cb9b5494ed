// The client behind proxies, and the scheme it uses: what the proxies say in Forwarded (RFC 7239), or in
// X-Forwarded-For and X-Forwarded-Proto, as far as they are trusted.
//
// Every proxy appends the address that it was called from, so only the end of a list can be relied on. The
// list is read from the right, and each element only counts if it comes from a trusted proxy. Anybody may
// have written what is left of that.

import { type IPAddress, isInRange, netAddr, parseIP } from "./ip_address.ts";
import type { Scheme } from "./target.ts";

/** No chain of proxies is this long: a longer list only serves to keep the server busy. */
const MAX_PROXIES = 32;

/** The fields of a request: h11's `Headers`, or an object with the same method. */
export interface Fields {
  /** The value of each field line called `name`, in order. */
  getAll(name: string): readonly string[];
}

/** The proxies that are trusted. */
export class TrustedProxies {
  readonly #ranges: [network: IPAddress, bits: number][] = [];
  #trustsUnix = false;
  /** The last peer that was looked up. */
  #peer = { hostname: "", isTrusted: false };

  /**
   * Takes the proxies: addresses (`"127.0.0.1"`), ranges in CIDR notation (`"10.0.0.0/8"`, `"fd00::/8"`), and
   * `"unix"` for all clients of a Unix socket.
   *
   * @throws {RangeError} One is none of these.
   */
  constructor(proxies: readonly string[]) {
    for (const proxy of proxies) {
      if (proxy === "unix") this.#trustsUnix = true;
      else this.#ranges.push(parseRange(proxy));
    }
  }

  /**
   * The client's address: `peer` itself, unless it is a trusted proxy that says otherwise. If what a trusted
   * proxy says is not an address (`unknown`, a name it made up, garbage), that proxy counts as the client. If
   * the two fields disagree, one of them passed a proxy that does not know it, and only `peer` is certain. A
   * port that is not given is 0.
   */
  clientAddr(peer: Deno.Addr, headers: Fields): Deno.Addr {
    if (!this.#trustsPeer(peer)) return peer;
    const node = this.#client(headers)?.node ?? null;
    return node === null ? peer : netAddr(node.ip, node.port);
  }

  /**
   * The scheme that the client uses with the proxy that gives its address, as that proxy says; null if no
   * trusted proxy says so.
   */
  clientScheme(peer: Deno.Addr, headers: Fields): Scheme | null {
    if (!this.#trustsPeer(peer)) return null;
    const client = this.#client(headers);
    if (client === null) return null;
    const { node, hops } = client;
    const told = headers.getAll("x-forwarded-proto").join().split(",");
    // Most proxies set it rather than append to it: then it has fewer elements than the list of addresses.
    const other = (told.at(-hops) ?? told[0]).trim().toLowerCase();
    const ofForwarded = node?.scheme?.toLowerCase() ?? "";
    const areBoth = headers.getAll("forwarded").length > 0 &&
      (other !== "" || headers.getAll("x-forwarded-for").length > 0);
    // As with the address, one of the two passed a proxy that does not know it.
    if (areBoth && ofForwarded !== other) return null;
    const scheme = ofForwarded || other;
    return scheme === "http" || scheme === "https" ? scheme : null;
  }

  /** The client, and the number of proxies in between; null if the two fields disagree. */
  #client(headers: Fields): { node: Node | null; hops: number } | null {
    const forwarded = headers.getAll("forwarded");
    const xForwardedFor = headers.getAll("x-forwarded-for");
    const client = this.#walk(nodesFromRight(forwarded, FORWARDED));
    const other = this.#walk(nodesFromRight(xForwardedFor, X_FORWARDED_FOR));
    const isSame = client.node?.ip.text === other.node?.ip.text;
    if (!isSame && forwarded.length > 0 && xForwardedFor.length > 0) return null;
    return client.node !== null ? client : other;
  }

  /** The first node that is not trusted, or else the last one. */
  #walk(nodes: Iterable<Node>): { node: Node | null; hops: number } {
    let last: Node | null = null;
    let hops = 0;
    for (const node of nodes) {
      last = node;
      if (++hops === MAX_PROXIES || !this.#trusts(node.ip)) break;
    }
    return { node: last, hops: Math.max(hops, 1) };
  }

  #trusts(ip: IPAddress): boolean {
    return this.#ranges.some(([network, bits]) => isInRange(ip, network, bits));
  }

  #trustsPeer(addr: Deno.Addr): boolean {
    if (!("hostname" in addr)) return addr.transport.startsWith("unix") && this.#trustsUnix;
    // Consecutive requests share a connection, and most connections come from the same proxy.
    if (addr.hostname !== this.#peer.hostname) {
      const ip = parseIP(addr.hostname);
      this.#peer = { hostname: addr.hostname, isTrusted: ip !== null && this.#trusts(ip) };
    }
    return this.#peer.isTrusted;
  }
}

function parseRange(text: string): [network: IPAddress, bits: number] {
  const [, address, bits] = /^([^/]+)(?:\/([0-9]{1,3}))?$/.exec(text) ?? [null, ""];
  const network = parseIP(address);
  if (network !== null) {
    const length = 8 * network.bytes.length;
    // For an IPv4-mapped IPv6 address, the prefix length includes the 96 bits before the IPv4 address.
    const before = length === 32 && address.includes(":") ? 96 : 0;
    const count = bits === undefined ? length : Number(bits) - before;
    if (count >= 0 && count <= length) return [network, count];
  }
  throw new RangeError(
    `Cannot trust proxy ${JSON.stringify(text)}: must be an IP address, a range such as ` +
      `"10.0.0.0/8", or "unix"`,
  );
}

/** The peer that called a proxy, and the scheme it used, if the same element gives it. */
interface Node {
  ip: IPAddress;
  port: number;
  scheme?: string | undefined;
}

/** The format of a field's elements, which commas separate. */
interface Format {
  /** A whole element. */
  readonly element: RegExp;
  /** The address that an element gives; empty if it gives none. */
  node(element: string): string;
  /** The scheme that an element gives. */
  scheme?(element: string): string | undefined;
}

// RFC 9110 5.6.2, 5.6.4; RFC 7239 4. Beyond that grammar, but sent in practice: an address with a colon
// outside of quotes, and space around a semicolon.
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const VALUE = String.raw`(?:[^\s",;\\]+|"(?:[^"\\]|\\.)*")`;
const PAIR = `${TOKEN}=${VALUE}`;
const EACH_PAIR = new RegExp(PAIR, "g");

const FORWARDED: Format = {
  element: new RegExp(`^[ \\t]*${PAIR}(?:[ \\t]*;[ \\t]*${PAIR})*[ \\t]*$`),
  node: (element: string): string => valueOf("for", element) ?? "",
  scheme: (element: string): string | undefined => valueOf("proto", element)?.replaceAll('"', ""),
};

/** The value of a parameter in an element of Forwarded, if the element has it exactly once. */
function valueOf(name: string, element: string): string | undefined {
  const pairs = element.match(EACH_PAIR)!.filter((pair) =>
    pair.toLowerCase().startsWith(`${name}=`)
  );
  return pairs.length === 1 ? pairs[0].slice(name.length + 1) : undefined;
}

const X_FORWARDED_FOR: Format = {
  element: /^[^,]*$/,
  node: (element: string): string => element.trim(),
};

/** The nodes in the lines of a field from right to left, up to the first element that is not valid. */
function* nodesFromRight(lines: readonly string[], format: Format): Generator<Node> {
  for (let line of lines.toReversed()) {
    for (let comma = line.length; comma >= 0;) {
      line = line.slice(0, comma);
      // Searched from the end, so that nothing at the beginning, which anybody may have written, can hide it.
      // A comma may be inside quotes: then what follows it is not a whole element.
      let element: string, isWhole: boolean;
      do {
        comma = line.slice(0, comma).lastIndexOf(",");
        element = line.slice(comma + 1);
        isWhole = format.element.test(element);
      } while (comma >= 0 && !isWhole);
      const node = isWhole ? parseNode(format.node(element)) : null;
      if (node === null) return;
      yield { ...node, scheme: format.scheme?.(element) };
    }
  }
}

/**
 * Parses `10.0.0.1`, `10.0.0.1:80`, `[::1]`, `[::1]:80` or `::1`, each with or without quotes; otherwise
 * null.
 */
function parseNode(quoted: string): Node | null {
  const text = quoted.replace(/^"(.*)"$/, "$1");
  const [, bracketed, plain, port = "0"] = NODE.exec(text) ?? [];
  const host = bracketed ?? plain ?? text;
  // A zone (RFC 4007 11) is only meaningful on the machine that has it.
  const ip = host.includes("%") ? null : parseIP(host);
  const isIPv4InBrackets = bracketed !== undefined && !bracketed.includes(":");
  if (ip === null || isIPv4InBrackets || Number(port) > 0xffff) return null;
  return { ip, port: port.startsWith("_") ? 0 : Number(port) };
}
/** RFC 7239 6: a port may also be a made-up name. */
const NODE = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([0-9]{1,5}|_[0-9A-Za-z._-]+))?$/;
