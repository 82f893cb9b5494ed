import { assertEquals } from "@std/assert";
import { Request } from "../../h11.ts";
import { pathOf, urlOf } from "../../http/target.ts";
import { Random } from "../h11/random.ts";

const LOCAL: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 8000 };

function requestFor(target: string): Request {
  const method = target === "*" ? "OPTIONS" : "GET";
  return new Request({ method, target, headers: { Host: "a" } });
}

const HOSTS = [
  "localhost",
  "LOCALHOST:8080",
  "a.b:80",
  "a:443",
  "a:00081",
  "a:",
  "127.0.0.1:9",
  "127.1",
  "0x7f.1",
  "[::1]:80",
  "[::FFFF:1.2.3.4]",
  "xn--bcher-kva.example",
  "b%C3%BCcher.example",
  "a_b",
  "a..b",
  "a@b",
  "256.1.1.1",
  "a:99999",
  "%",
  "a%2fb",
];

const TARGETS = [
  "/",
  "/a",
  "/a/",
  "//a",
  "/a//b",
  "/a/../b",
  "/./a",
  "/.",
  "/..",
  "/.a",
  "/a/.b",
  "/a.b",
  "/%2e/a",
  "/%2E%2e/a",
  "/a%2e",
  "/a/%2",
  "/%zz",
  "/a?b=c&d",
  "/a?b=/../c",
  "/a?b?c",
  "/a?'",
  "/'",
  "/a\\b",
  "/a|b",
  "/{a}",
  "/a^b",
  "/`",
  '/"',
  "/<>",
  "/a?{}|\\^`",
  '/a?"<>',
  "/a;b=c,d",
  "/~!$&()*+,:@-_=",
  "/a?",
  `/${"a".repeat(200)}?b`,
  `/${"a".repeat(200)}/../b`,
  `/${"a".repeat(2000)}`,
];

Deno.test("a request's URL is the one that the URL parser makes of its host and target", () => {
  for (const host of HOSTS) {
    for (const target of TARGETS) {
      // A backslash is none of the characters of a URL (RFC 3986 2), and no slash.
      const url = `http://${host}${target.replaceAll("\\", "%5C")}`;
      const expected = URL.parse(url)?.href ?? null;
      assertEquals(urlOf(requestFor(target), host, "http", LOCAL), expected, `${host} ${target}`);
    }
  }
});

const ELSE: [
  what: string,
  target: string,
  host: string | null,
  url: string | null,
  scheme?: "https",
][] = [
  ["an absolute-form is taken, whatever Host says", "http://b/c", "a", "http://b/c"],
  ["over TLS, it may be of https, in any case", "HTTPS://b/c", "a", "https://b/c", "https"],
  ["over TLS, it may be of http", "http://b/c", "a", "http://b/c", "https"],
  ["that of https is none without TLS", "https://b/c", "a", null],
  ["that of a file is none", "file://localhost/etc/passwd", "a", null],
  ["that of another scheme is none", "httpx://b/c", "a", null],
  ["that of HTTP/1.0 without Host has our address", "/a?b", null, "http://127.0.0.1:8000/a?b"],
  ["that of * has the path /", "*", "a", "http://a/"],
  ["a Host that makes no URL makes none", "/", "a b", null],
];

for (const [what, target, host, url, scheme = "http"] of ELSE) {
  Deno.test(`a request's URL: ${what}`, () =>
    assertEquals(urlOf(requestFor(target), host, scheme, LOCAL), url));
}

Deno.test("a path has no dot segments, as that of the request's URL", () => {
  const random = new Random(7);
  const pieces = ["a", "/", "/", ".", "..", "%2e", "%2E", "%2f", "b"];
  for (let i = 0; i < 20_000; i++) {
    const path = `/${Array.from({ length: random.below(9) }, () => random.pick(pieces)).join("")}`;
    assertEquals(pathOf(`${path}?/../c`), new URL(`http://a${path}`).pathname, path);
  }
});
