import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import * as h11 from "../../h11.ts";
import { TrustedProxies } from "../../http/client_addr.ts";
import { countedAs } from "../../http/ip_address.ts";
import { formatAddr } from "../../http/log.ts";

/** The proxies that the tables below trust. */
const PROXIES = new TrustedProxies(["127.0.0.1", "10.0.0.0/8", "2001:db8::/32", "unix"]);

function tcp(hostname: string, port = 1024): Deno.NetAddr {
  return { transport: "tcp", hostname, port };
}

/** The client of a request from `peer` with the field lines `fields`. */
function clientOf(peer: Deno.Addr, fields: readonly string[], proxies = PROXIES): string {
  return formatAddr(proxies.clientAddr(peer, headersOf(fields)));
}

function headersOf(fields: readonly string[]): h11.Headers {
  return new h11.Headers(fields.map((line): [string, string] => {
    const colon = line.indexOf(": ");
    return [line.slice(0, colon), line.slice(colon + 2)];
  }));
}

// What proxies say of a request from 10.0.0.1, and the client that it is from.
const CLIENTS: [what: string, fields: string[], client: string][] = [
  ["no field", [], "10.0.0.1:1024"],
  ["one address", ["X-Forwarded-For: 192.0.2.1"], "192.0.2.1"],
  ["trusted addresses at the end", ["X-Forwarded-For: 192.0.2.1,10.1.1.1 , 10.2.2.2"], "192.0.2.1"],
  ["what the client made up", ["X-Forwarded-For: 192.0.2.9, 192.0.2.1, 10.1.1.1"], "192.0.2.1"],
  ["a trusted client", ["X-Forwarded-For: 10.3.3.3, 10.1.1.1"], "10.3.3.3"],
  ["more than one line", ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 10.1.1.1"], "192.0.2.1"],
  ["an address with a port", ["X-Forwarded-For: 192.0.2.1:80"], "192.0.2.1:80"],
  ["IPv6", ["X-Forwarded-For: 2001:DB9:0::1"], "2001:db9::1"],
  ["IPv6 in brackets", ["X-Forwarded-For: [2001:db9::1]"], "2001:db9::1"],
  ["IPv6 with a port", ["X-Forwarded-For: [2001:db9::1]:80"], "[2001:db9::1]:80"],
  ["IPv4 in IPv6", ["X-Forwarded-For: ::ffff:192.0.2.1, ::ffff:10.1.1.1"], "192.0.2.1"],
  ["quotes in X-Forwarded-For", ['X-Forwarded-For: "[2001:db9::1]:80"'], "[2001:db9::1]:80"],
  ["Forwarded", ["Forwarded: for=192.0.2.1"], "192.0.2.1"],
  [
    "all that Forwarded may have",
    ['Forwarded: for=192.0.2.9, For="[2001:db9::1]:80";proto=https; host="a, b";by=_x,\tfor=10.1.1.1'],
    "[2001:db9::1]:80",
  ],
  ["a port without quotes", ["Forwarded: for=192.0.2.1:80"], "192.0.2.1:80"],
  ["a port with a made-up name", ['Forwarded: for="192.0.2.1:_a"'], "192.0.2.1"],
  ["a list in quotes", ['Forwarded: for=192.0.2.1;host="x, for=192.0.2.9"'], "192.0.2.1"],
  ["a quote that the client left open", ['Forwarded: for=", for=192.0.2.1'], "192.0.2.1"],
  ["an open quote before quotes", ['Forwarded: x="a, for="[2001:db9::1]"'], "2001:db9::1"],
  [
    "an open quote in a line of its own",
    ['Forwarded: for="', "Forwarded: for=192.0.2.1"],
    "192.0.2.1",
  ],
  [
    "two fields that say the same",
    ["Forwarded: for=192.0.2.1;by=_a, for=10.1.1.1", "X-Forwarded-For: 192.0.2.1"],
    "192.0.2.1",
  ],
];

// As above, and the scheme that the client speaks.
const SCHEMES: [what: string, fields: string[], scheme: "http" | "https" | null][] = [
  ["no field", [], null],
  ["X-Forwarded-Proto", ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"], "https"],
  ["no address", ["X-Forwarded-Proto: HTTPS"], "https"],
  [
    "one element for each address",
    ["X-Forwarded-For: 192.0.2.1, 10.1.1.1", "X-Forwarded-Proto: https, http"],
    "https",
  ],
  [
    "one element for all addresses",
    ["X-Forwarded-For: 192.0.2.1, 10.1.1.1", "X-Forwarded-Proto: https"],
    "https",
  ],
  [
    "what the client made up",
    ["X-Forwarded-For: 192.0.2.9, 192.0.2.1", "X-Forwarded-Proto: https, http"],
    "http",
  ],
  ["Forwarded", ['Forwarded: for=192.0.2.9;proto=http, for=192.0.2.1;Proto="https"'], "https"],
  ["X-Forwarded-Proto alone", ["Forwarded: for=192.0.2.1", "X-Forwarded-Proto: https"], null],
  [
    "one of two fields",
    ["Forwarded: for=192.0.2.1;proto=https", "X-Forwarded-For: 192.0.2.1"],
    null,
  ],
  [
    "both differently",
    [
      "Forwarded: for=192.0.2.1;proto=https",
      "X-Forwarded-For: 192.0.2.1",
      "X-Forwarded-Proto: http",
    ],
    null,
  ],
  [
    "both",
    [
      "Forwarded: for=192.0.2.1;proto=https",
      "X-Forwarded-For: 192.0.2.1",
      "X-Forwarded-Proto: https",
    ],
    "https",
  ],
  ["another scheme", ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: gopher"], null],
  [
    "two fields that do not say the same",
    ["Forwarded: for=192.0.2.1;proto=https", "X-Forwarded-For: 192.0.2.2"],
    null,
  ],
];

for (const [what, fields, scheme] of SCHEMES) {
  Deno.test(`TrustedProxies.clientScheme() is told by ${what}: ${scheme}`, () => {
    assertEquals(PROXIES.clientScheme(tcp("10.0.0.1"), headersOf(fields)), scheme);
    assertEquals(PROXIES.clientScheme(tcp("192.0.2.3"), headersOf(fields)), null);
  });
}

for (const [what, fields, client] of CLIENTS) {
  Deno.test(`TrustedProxies.clientAddr() finds the client behind ${what}`, () => {
    assertEquals(clientOf(tcp("10.0.0.1"), fields), client);
  });
}

// What is no address; 10.1.1.1, which says it, is the last that is known.
const NO_ADDRESSES = [
  "",
  "unknown",
  "_hidden",
  "unix:",
  "localhost",
  "192.0.2",
  "192.0.2.256",
  "192.0.2.01",
  "3221225985",
  "0xc0.0.2.1",
  "192.0.2.1.",
  "192.0.2.1:",
  "192.0.2.1:65536",
  "192.0.2.1:http",
  "192.0.2.1/32",
  "[192.0.2.1]",
  "[2001:db9::1",
  "[2001:db9::1]80",
  "[]",
  "fe80::1%eth0",
  "[fe80::1%eth0]",
  "192.0.2.1 192.0.2.2",
  '"192.0.2.1',
  '"',
];

for (const text of NO_ADDRESSES) {
  Deno.test(`TrustedProxies.clientAddr() stops at ${JSON.stringify(text)}`, () => {
    const list = (prefix: string): string =>
      ["192.0.2.9", text, "10.1.1.1"].map((address) => prefix + address).join(", ");
    assertEquals(clientOf(tcp("10.0.0.1"), [`X-Forwarded-For: ${list("")}`]), "10.1.1.1");
    assertEquals(clientOf(tcp("10.0.0.1"), [`Forwarded: ${list("for=")}`]), "10.1.1.1");
  });
}

// Elements of Forwarded, after one that would be trusted, that name nobody.
const NOBODY = [
  "proto=https",
  "for=192.0.2.1;for=192.0.2.2",
  "for",
  "for=",
  "for =192.0.2.1",
  'for="192.0.2.1"x',
  ";for=192.0.2.1",
  "x-for=192.0.2.1",
];

for (const element of NOBODY) {
  Deno.test(`TrustedProxies.clientAddr() stops at the element ${element}`, () => {
    const field = `Forwarded: for=192.0.2.9, ${element}, for=10.1.1.1`;
    assertEquals(clientOf(tcp("10.0.0.1"), [field]), "10.1.1.1");
  });
}

Deno.test("TrustedProxies.clientAddr() knows the peer only where two fields contradict", () => {
  const fields = ["Forwarded: for=192.0.2.1", "X-Forwarded-For: 192.0.2.2"];
  assertEquals(clientOf(tcp("10.0.0.1"), fields), "10.0.0.1:1024");
});

Deno.test("TrustedProxies.clientAddr() reads 32 proxies at most", () => {
  const far = Array.from({ length: 40 }, (_, i) => `10.1.1.${i}`).join(", ");
  assertEquals(clientOf(tcp("10.0.0.1"), [`X-Forwarded-For: 192.0.2.1, ${far}`]), "10.1.1.8");
});

// A peer, and whether what it says is believed.
const PEERS: [peer: Deno.Addr, isTrusted: boolean][] = [
  [tcp("127.0.0.1"), true],
  [tcp("127.0.0.2"), false],
  [tcp("10.255.255.255"), true],
  [tcp("11.0.0.0"), false],
  [tcp("::ffff:10.0.0.1"), true],
  [tcp("::ffff:192.0.2.1"), false],
  [tcp("2001:db8:ffff::1"), true],
  [tcp("2001:db9::"), false],
  [tcp("::1"), false],
  [{ transport: "unix", path: "/run/a.sock" }, true],
];

for (const [peer, isTrusted] of PEERS) {
  Deno.test(`TrustedProxies.clientAddr() ${isTrusted ? "trusts" : "does not trust"} ${formatAddr(peer)}`, () => {
    const client = clientOf(peer, ["X-Forwarded-For: 192.0.2.9"]);
    assertEquals(client, isTrusted ? "192.0.2.9" : formatAddr(peer));
  });
}

Deno.test("TrustedProxies.clientAddr() trusts nobody who is not named", () => {
  const nobody = new TrustedProxies([]);
  for (const [peer] of PEERS) {
    assertEquals(clientOf(peer, ["Forwarded: for=192.0.2.9"], nobody), formatAddr(peer));
  }
});

/** Which of `hosts` are trusted as peers. */
function trusted(proxies: string[], ...hosts: string[]): string[] {
  const trusted = new TrustedProxies(proxies);
  return hosts.filter((it) =>
    clientOf(tcp(it), ["Forwarded: for=192.0.2.9"], trusted) === "192.0.2.9"
  );
}

Deno.test("TrustedProxies takes a range of IPv4 in IPv6 as one of IPv4", () => {
  const hosts = ["10.1.1.1", "11.0.0.0", "192.0.2.1", "192.0.2.2"];
  assertEquals(trusted(["::ffff:10.0.0.0/104", "::ffff:192.0.2.1"], ...hosts), [
    hosts[0],
    hosts[2],
  ]);
});

Deno.test("TrustedProxies takes all of IPv4, or of IPv6, as a range", () => {
  const hosts = ["198.51.100.1", "2001:db9::1"];
  assertEquals(trusted(["0.0.0.0/0"], ...hosts), [hosts[0]]);
  assertEquals(trusted(["::/0"], ...hosts), [hosts[1]]);
});

const REFUSED = [
  "",
  "localhost",
  "*",
  "10",
  "10/8",
  "10.0.0.0/33",
  "10.0.0.0/",
  "10.0.0.0/-1",
  "10.0.0.0/8/8",
  "10.0.0.0/255.0.0.0",
  "2001:db8::/129",
  "::ffff:10.0.0.0/95",
  "127.0.0.1:80",
  "[::1]",
];

for (const proxy of REFUSED) {
  Deno.test(`TrustedProxies refuses ${JSON.stringify(proxy)}`, () => {
    assertThrows(
      () => new TrustedProxies(["127.0.0.1", proxy]),
      RangeError,
      `Cannot trust proxy "${proxy}": must be an IP address, a range such as "10.0.0.0/8", or "unix"`,
    );
  });
}

// Addresses that maxConnectionsPerAddress counts as one, and the first that it does not.
const COUNTED: [same: string[], other: string][] = [
  [["10.0.0.1", "::ffff:10.0.0.1", "::ffff:a00:1"], "10.0.0.2"],
  [["2001:db8::1", "2001:db8:0:0:ffff::7", "2001:DB8::"], "2001:db8:0:1::1"],
  [["::1", "::2"], "0:0:0:1::"],
  [["fe80::1%eth0"], "fe80::2%eth0"],
  [["fe80::1", "FE80:0::1"], "fe80::2"],
  [["64:ff9b::10.0.0.1", "64:ff9b::a00:1"], "64:ff9b::10.0.0.2"],
];
for (const [same, other] of COUNTED) {
  Deno.test(`${same.join(" and ")} are one client, and ${other} is another`, () => {
    assertEquals(new Set(same.map(countedAs)).size, 1);
    assertNotEquals(countedAs(other), countedAs(same[0]));
  });
}
