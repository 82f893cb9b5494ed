import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import * as h11 from "../../h11.ts";
import {
  type AccessLogChoice,
  type AccessLogEntry,
  combinedLine,
  jsonLine,
  LazyEntry,
  lineFormat,
} from "../../http/access_log.ts";
import { formatAddr, Log } from "../../http/log.ts";

const ENTRY: AccessLogEntry = {
  time: new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 678)),
  remoteAddr: { transport: "tcp", hostname: "192.0.2.1", port: 52579 },
  method: "GET",
  target: "/user/bob?page=2",
  httpVersion: "1.1",
  status: 200,
  bytes: 2326,
  duration: 12.3456789,
  headers: new h11.Headers([["Referer", "http://a/"], ["User-Agent", "curl/8.5.0"]]),
  ctx: null,
};

/** The line that is logged of an exchange as in ENTRY, with some things changed; "" for none. */
async function line(
  choice: AccessLogChoice,
  change: Partial<AccessLogEntry> = {},
): Promise<string> {
  let written = "";
  const log = new Log({
    write(bytes): Promise<number> {
      written += new TextDecoder().decode(bytes);
      return Promise.resolve(bytes.length);
    },
  });
  const { duration, headers, remoteAddr, ...rest } = { ...ENTRY, ...change };
  lineFormat(choice)!.add(log, {
    ...rest,
    remoteAddr,
    peer: formatAddr(remoteAddr),
    request: new h11.Request({ ...rest, headers: [["Host", "a"], ...headers.rawItems()] }),
    startedAt: performance.now() - duration,
    context: null,
  });
  await log.flush();
  return written.slice(0, -1);
}

const QUOTES = { target: String.raw`/"\"` };
const IPV6: Deno.Addr = { transport: "tcp", hostname: "2001:db8::1", port: 80 };
const UNIX = { transport: "unix", path: null } as unknown as Deno.Addr;
const NO_FIELDS = { headers: new h11.Headers() };

const DEFAULT: [what: string, change: Partial<AccessLogEntry>, line: string][] = [
  ["a request", {}, 'INFO: 192.0.2.1:52579 - "GET /user/bob?page=2 HTTP/1.1" 200'],
  [
    "HTTP/1.0",
    { httpVersion: "1.0" },
    'INFO: 192.0.2.1:52579 - "GET /user/bob?page=2 HTTP/1.0" 200',
  ],
  ["quotes", QUOTES, String.raw`INFO: 192.0.2.1:52579 - "GET /\"\\\" HTTP/1.1" 200`],
  [
    "a target that is long",
    { target: "/" + "a".repeat(2000) },
    `INFO: 192.0.2.1:52579 - "GET /${"a".repeat(2000)} HTTP/1.1" 200`,
  ],
  ["IPv6", { remoteAddr: IPV6 }, 'INFO: [2001:db8::1]:80 - "GET /user/bob?page=2 HTTP/1.1" 200'],
  ["a Unix socket", { remoteAddr: UNIX }, 'INFO: unix - "GET /user/bob?page=2 HTTP/1.1" 200'],
];
for (const [what, change, expected] of DEFAULT) {
  Deno.test(`lineFormat() "default" writes ${what}`, async () => {
    assertEquals(await line("default", change), expected);
  });
}

const TIME = "[02/Jan/2026:03:04:05 +0000]";
const AGENT = { headers: new h11.Headers({ "User-Agent": '"\\\t\xe4\x80' }) };
const COMBINED: [what: string, change: Partial<AccessLogEntry>, line: string][] = [
  [
    "a request",
    {},
    `192.0.2.1 - - ${TIME} "GET /user/bob?page=2 HTTP/1.1" 200 2326 "http://a/" "curl/8.5.0"`,
  ],
  [
    "what is not there as a hyphen",
    { remoteAddr: UNIX, bytes: 0, ...NO_FIELDS },
    `unix - - ${TIME} "GET /user/bob?page=2 HTTP/1.1" 200 - "-" "-"`,
  ],
  [
    "what would end or forge a part escaped",
    { remoteAddr: IPV6, ...QUOTES, ...AGENT },
    String.raw`2001:db8::1 - - ${TIME} "GET /\"\\\" HTTP/1.1" 200 2326 "-" "\"\\\t\xe4\x80"`,
  ],
];
for (const [what, change, expected] of COMBINED) {
  Deno.test(`combinedLine() writes ${what}`, () => {
    assertEquals(combinedLine({ ...ENTRY, ...change }), expected);
  });
}

Deno.test("jsonLine() writes an object with all there is", () => {
  assertEquals(
    jsonLine(ENTRY),
    '{"time":"2026-01-02T03:04:05.678Z","remote_addr":"192.0.2.1","method":"GET",' +
      '"target":"/user/bob?page=2","http_version":"1.1","status":200,"bytes":2326,' +
      '"duration_ms":12.346,"user_agent":"curl/8.5.0","referer":"http://a/"}',
  );
});

Deno.test("jsonLine() writes fields that are not there as null", () => {
  const { user_agent, referer } = JSON.parse(jsonLine({ ...ENTRY, ...NO_FIELDS }));
  assertEquals([user_agent, referer], [null, null]);
});

Deno.test("jsonLine() escapes so that what was sent can be read, and harms no terminal", () => {
  const json = jsonLine({ ...ENTRY, ...QUOTES, ...AGENT });
  const { target, user_agent } = JSON.parse(json);
  assertEquals([target, user_agent], [QUOTES.target, AGENT.headers.get("user-agent")]);
  assertEquals(/[\x7f-\x9f]/.test(json), false);
});

Deno.test("lineFormat() takes a function, which may leave out a line", async () => {
  const onlyErrors = ({ status, target }: AccessLogEntry): string | void => {
    if (status >= 400) return `${status} ${target}`;
  };
  assertEquals(await line(onlyErrors), "");
  assertEquals(await line(onlyErrors, { status: 404 }), "404 /user/bob?page=2");
});

Deno.test("lineFormat() tells in the line that the function failed", async () => {
  const fails = (): never => {
    throw new TypeError("no\nsuch thing");
  };
  const expected = `${await line("default")} (accessLog failed: TypeError: no\\x0asuch thing)`;
  assertEquals(await line(fails), expected);
});

Deno.test("lineFormat() makes none for false", () => {
  assertEquals(lineFormat(false), null);
});

for (const choice of ["common", "", "toString", undefined]) {
  Deno.test(`lineFormat() refuses ${JSON.stringify(choice)}`, () => {
    const error = assertThrows(() => lineFormat(choice as AccessLogChoice), RangeError);
    assertMatch(
      error.message,
      /^Cannot set accessLog to .*: must be "default", "combined", "json", a function or false$/,
    );
  });
}

Deno.test("LazyEntry tells of an exchange that has just ended", () => {
  const request = new h11.Request({
    method: "POST",
    target: "/a",
    headers: { Host: "a", Referer: "http://b/" },
  });
  const startedAt = performance.now() - 5_000;
  const answer = { status: 201, bytes: 3, startedAt, context: null };
  const entry = new LazyEntry({ ...ENTRY, ...answer, peer: "", request });
  const { method, target, httpVersion, status, bytes, headers, remoteAddr } = entry;
  assertEquals([method, target, httpVersion], ["POST", "/a", "1.1"]);
  assertEquals([status, bytes, remoteAddr], [201, 3, ENTRY.remoteAddr]);
  assertEquals(headers.get("referer"), "http://b/");
  const { duration, time } = entry;
  assertEquals(duration >= 5_000 && duration <= performance.now() - startedAt, true);
  assertEquals(Math.abs(Date.now() - time.getTime() - duration) < 1_000, true);
  assertEquals([entry.duration, entry.time], [duration, time]);
});
