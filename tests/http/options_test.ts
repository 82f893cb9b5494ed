import { assertEquals, assertThrows } from "@std/assert";
import { HTTPListener, type ServerOptions } from "../../http_context.ts";
import { resolveOptions } from "../../http/options.ts";
import { test } from "../needs.ts";

const REFUSED: [options: { [K in keyof ServerOptions]: unknown }, message: string][] = [
  [{ port: -1 }, "Cannot set port to -1: must be an integer from 0 to 65535"],
  [{ port: 65536 }, "Cannot set port to 65536: must be an integer from 0 to 65535"],
  [{ port: NaN }, "Cannot set port to NaN"],
  [{ port: 80.5 }, "Cannot set port to 80.5"],
  [{ maxHeadSize: 0 }, "Cannot set maxHeadSize to 0"],
  [{ maxTargetSize: -1 }, "Cannot set maxTargetSize to -1"],
  [{ maxFields: Infinity }, "Cannot set maxFields to Infinity"],
  [{ maxBodySize: 1.5 }, "Cannot set maxBodySize to 1.5"],
  [{ shutdownGrace: -5 }, "Cannot set shutdownGrace to -5"],
  [
    { port: "8000" },
    'Cannot set port to "8000" (a string): must be an integer from 0 to 65535; convert it with Number(...)',
  ],
  [{ hostname: null }, "Cannot set hostname to null: must be a non-empty string"],
  [{ hostname: "" }, 'Cannot set hostname to "" (a string): must be a non-empty string'],
  [{ path: "" }, 'Cannot set path to "" (a string): must be a non-empty string'],
  [{ cert: new Uint8Array(1), key: "" }, "Cannot set cert to "],
  [{ proxyProtocol: "no" }, 'Cannot set proxyProtocol to "no" (a string): must be true or false'],
  [{ reusePort: 1 }, "Cannot set reusePort to 1: must be true or false"],
  [{ workers: "a".repeat(100) }, `Cannot set workers to "${"a".repeat(64)}..." (a string): must`],
  [{ maxFields: [5] }, "Cannot set maxFields to [object Array]: must"],
  [{ idleTimeout: null }, "Cannot set idleTimeout to null: must"],
  [
    { trustedProxies: "10.0.0.1" },
    'Cannot set trustedProxies to "10.0.0.1" (a string): must be an array',
  ],
  [{ trustedProxies: ["10.0.0"] }, 'Cannot trust proxy "10.0.0": must be an IP address'],
  [{ errorLog: "json" }, 'Cannot set errorLog to "json" (a string): must be a function'],
  [{ accessLog: "yes" }, 'Cannot set accessLog to "yes": must be "default"'],
];

for (const [options, message] of REFUSED) {
  Deno.test(`HTTPListener refuses the options ${Deno.inspect(options)}`, () => {
    const given = options as ServerOptions;
    assertThrows(() => new HTTPListener(given), RangeError, message);
    assertThrows(() => new HTTPListener().configure(given), RangeError, message);
  });
}

const MISNAMED: [name: string, option: string][] = [
  ["handlertimeout", "handlerTimeout"],
  ["header_timeout", "headerTimeout"],
  ["headersTimeout", "headerTimeout"],
  ["maxBodySzie", "maxBodySize"],
  ["maxHeaderSize", "maxHeadSize"],
  ["trustedproxies", "trustedProxies"],
  ["host", "hostname"],
  ["timeout", "handlerTimeout"],
  ["bodyLimit", "maxBodySize"],
];
for (const [name, option] of MISNAMED) {
  Deno.test(`HTTPListener refuses the option ${name}, and names ${option}`, () => {
    const message = `Cannot set ${name}: it is not an option; use ${option}`;
    // The compiler lets a variable have more keys than the options.
    const given = { port: 0, [name]: 1 };
    assertThrows(() => new HTTPListener(given), TypeError, message);
    assertThrows(() => new HTTPListener().configure(given), TypeError, message);
  });
}

Deno.test("HTTPListener takes options among others that have nothing to do with it", () => {
  const config = { port: 0, ports: [1], database: "a.db", cache: { timeout: 1 }, readTimeout: 1 };
  assertEquals(new HTTPListener(config) instanceof HTTPListener, true);
});

Deno.test("HTTPListener refuses a port in place of options", () => {
  const message = "Cannot set the options to 3000: must be an object, as in { port: 8000 }";
  assertThrows(() => new HTTPListener(3000 as ServerOptions), TypeError, message);
});

Deno.test("HTTPListener takes an option that is undefined as one that is not given", () => {
  assertEquals(new HTTPListener({ port: undefined }) instanceof HTTPListener, true);
});

const CERT_AND_KEY = { cert: "-----BEGIN CERTIFICATE-----", key: "-----BEGIN PRIVATE KEY-----" };

Deno.test("HTTPListener refuses TLS with proxyProtocol, whose header would come before it", () => {
  const options = { ...CERT_AND_KEY, proxyProtocol: true };
  const message = "Cannot use TLS with proxyProtocol: the PROXY header precedes TLS";
  assertThrows(() => new HTTPListener(options), TypeError, message);
  const app = new HTTPListener({ proxyProtocol: true });
  assertThrows(() => app.configure(CERT_AND_KEY), TypeError, message);
});

for (const options of [{ port: 8001 }, { hostname: "0.0.0.0" }]) {
  Deno.test(`resolveOptions() has ${Object.keys(options)} take the place of a Unix socket`, () => {
    const unix = resolveOptions({ path: "/run/app.sock" });
    assertEquals(resolveOptions(options, unix).path, undefined);
    assertEquals(resolveOptions({ ...options, path: "/a.sock" }, unix).path, "/a.sock");
    assertEquals(resolveOptions({ backlog: 5 }, unix).path, "/run/app.sock");
  });
}

test("docs/deployment.md tells the default of each limit", { permissions: ["read"] }, async () => {
  const page = await Deno.readTextFile(new URL("../../docs/deployment.md", import.meta.url));
  const rows = page.matchAll(/^\| `(\w+)` +\| ([\d,]+) +\| /gm);
  const told = Array.from(rows, ([, name, value]) => [name, Number(value.replaceAll(",", ""))]);
  const isLimit = (name: string): boolean => /^max|Timeout$|Grace$|^backlog$/.test(name);
  const defaults = Object.entries(resolveOptions({})).filter(([name]) => isLimit(name));
  assertEquals(Object.fromEntries(told), Object.fromEntries(defaults));
  assertEquals(told.length, defaults.length);
});
