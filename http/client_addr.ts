// Who the client is when proxies stand in between, and what it speaks: what they say of it in Forwarded (RFC
// 7239), or X-Forwarded-For and X-Forwarded-Proto, as far as they are trusted.
//
// Every proxy appends the address that it was called from, so only the end of a list is known to be true: it
// is read from the right, and only on the word of a proxy that is trusted itself. What is left of that
// anybody may have written.

import { type IPAddress, isInRange, netAddr, parseIP } from "./ip_address.ts";
import type { Scheme } from "./target.ts";

/** No chain of proxies is this long: a list that goes on is there to keep us busy. */
const MAX_PROXIES = 32;

/** The fields of a request: h11's `Headers`, or anything that answers like them. */
export interface Fields {
  /** The value of each field line called `name`, in order. */
  getAll(name: string): readonly string[];
}

/** The proxies that are trusted. */
export class TrustedProxies {
  readonly #ranges: [network: IPAddress, bits: number][] = [];
  #trustsUnix = false;
  /** The peer that was looked up last. */
  #peer = { hostname: "", isTrusted: false };

  /**
   * Takes the proxies: addresses (`"127.0.0.1"`), ranges in CIDR notation (`"10.0.0.0/8"`, `"fd00::/8"`), and
   * `"unix"` for all that come over a Unix socket.
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
   * The client's address: `peer` itself, unless it is a trusted proxy that says otherwise. Where what a
   * trusted proxy says is no address (`unknown`, a name it made up, garbage), that proxy is the last that is
   * known. Where the two fields do not say the same, one of them passed a proxy that does not know it, and
   * `peer` is all that is known. A port that is not told is 0.
   */
  clientAddr(peer: Deno.Addr, headers: Fields): Deno.Addr {
    if (!this.#trustsPeer(peer)) return peer;
    const node = this.#client(headers)?.node ?? null;
    return node === null ? peer : netAddr(node.ip, node.port);
  }

  /**
   * The scheme that the client speaks with the proxy that tells its address, as that proxy says; null where
   * none that is trusted says so.
   */
  clientScheme(peer: Deno.Addr, headers: Fields): Scheme | null {
    if (!this.#trustsPeer(peer)) return null;
    const client = this.#client(headers);
    if (client === null) return null;
    const { node, hops } = client;
    const told = headers.getAll("x-forwarded-proto").join().split(",");
    // Most proxies set it, and append nothing: then it has fewer elements than the list of addresses.
    const other = (told.at(-hops) ?? told[0]).trim().toLowerCase();
    const ofForwarded = node?.scheme?.toLowerCase() ?? "";
    const areBoth = headers.getAll("forwarded").length > 0 &&
      (other !== "" || headers.getAll("x-forwarded-for").length > 0);
    // As of the address: one of the two passed a proxy that does not know it.
    if (areBoth && ofForwarded !== other) return null;
    const scheme = ofForwarded || other;
    return scheme === "http" || scheme === "https" ? scheme : null;
  }

  /** The client, and how many proxies have told; null where the two fields do not say the same. */
  #client(headers: Fields): { node: Node | null; hops: number } | null {
    const forwarded = headers.getAll("forwarded");
    const xForwardedFor = headers.getAll("x-forwarded-for");
    const client = this.#walk(nodesFromRight(forwarded, FORWARDED));
    const other = this.#walk(nodesFromRight(xForwardedFor, X_FORWARDED_FOR));
    const isSame = client.node?.ip.text === other.node?.ip.text;
    if (!isSame && forwarded.length > 0 && xForwardedFor.length > 0) return null;
    return client.node !== null ? client : other;
  }

  /** The first that is not trusted, else the last. */
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
    // The requests of a connection come one after the other, and most connections from the same proxy.
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
    // The range of an IPv4 address in IPv6 counts the 96 bits before it.
    const before = length === 32 && address.includes(":") ? 96 : 0;
    const count = bits === undefined ? length : Number(bits) - before;
    if (count >= 0 && count <= length) return [network, count];
  }
  throw new RangeError(
    `Cannot trust proxy ${JSON.stringify(text)}: must be an IP address, a range of them such as ` +
      `"10.0.0.0/8", or "unix"`,
  );
}

/** Whom a proxy was called from, and in what scheme, where that is told with it. */
interface Node {
  ip: IPAddress;
  port: number;
  scheme?: string | undefined;
}

/** What a field consists of, between commas. */
interface Format {
  /** A whole element. */
  readonly element: RegExp;
  /** Whom an element names; empty where it names nobody. */
  node(element: string): string;
  /** The scheme that an element tells. */
  scheme?(element: string): string | undefined;
}

// RFC 9110 5.6.2, 5.6.4; RFC 7239 4. Not in that grammar, but sent: an address with a colon outside of
// quotes, and space around a semicolon.
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const VALUE = String.raw`(?:[^\s",;\\]+|"(?:[^"\\]|\\.)*")`;
const PAIR = `${TOKEN}=${VALUE}`;
const EACH_PAIR = new RegExp(PAIR, "g");

const FORWARDED: Format = {
  element: new RegExp(`^[ \\t]*${PAIR}(?:[ \\t]*;[ \\t]*${PAIR})*[ \\t]*$`),
  node: (element: string): string => valueOf("for", element) ?? "",
  scheme: (element: string): string | undefined => valueOf("proto", element)?.replaceAll('"', ""),
};

/** What an element of Forwarded says, where it says that once. */
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

/** The nodes in the lines of a field from right to left, up to what is none. */
function* nodesFromRight(lines: readonly string[], format: Format): Generator<Node> {
  for (let line of lines.toReversed()) {
    for (let comma = line.length; comma >= 0;) {
      line = line.slice(0, comma);
      // Looked for from the end, so that nothing in the beginning, which may be anybody's, can hide it. A
      // comma may be one in quotes: then what follows is not a whole element.
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

/** `10.0.0.1`, `10.0.0.1:80`, `[::1]`, `[::1]:80`, `::1`, each with quotes or without, else null. */
function parseNode(quoted: string): Node | null {
  const text = quoted.replace(/^"(.*)"$/, "$1");
  const [, bracketed, plain, port = "0"] = NODE.exec(text) ?? [];
  const host = bracketed ?? plain ?? text;
  // A zone (RFC 4007 11) means something on the machine that has it only.
  const ip = host.includes("%") ? null : parseIP(host);
  const isIPv4InBrackets = bracketed !== undefined && !bracketed.includes(":");
  if (ip === null || isIPv4InBrackets || Number(port) > 0xffff) return null;
  return { ip, port: port.startsWith("_") ? 0 : Number(port) };
}
/** RFC 7239 6: a port may be a made-up name, too. */
const NODE = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([0-9]{1,5}|_[0-9A-Za-z._-]+))?$/;
