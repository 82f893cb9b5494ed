import { assertEquals, assertThrows } from "@std/assert";
import { HTTPListener, type ServerOptions } from "../../http_context.ts";
import { resolveOptions } from "../../http/options.ts";
import { test } from "../needs.ts";

const REFUSED: [options: ServerOptions, message: string][] = [
  [{ port: -1 }, "Cannot set port to -1: must be a whole number from 0 to 65535"],
  [{ port: 65536 }, "Cannot set port to 65536: must be a whole number from 0 to 65535"],
  [{ port: NaN }, "Cannot set port to NaN"],
  [{ port: 80.5 }, "Cannot set port to 80.5"],
  [{ maxHeadSize: 0 }, "Cannot set maxHeadSize to 0"],
  [{ maxTargetSize: -1 }, "Cannot set maxTargetSize to -1"],
  [{ maxFields: Infinity }, "Cannot set maxFields to Infinity"],
  [{ maxBodySize: 1.5 }, "Cannot set maxBodySize to 1.5"],
  [{ shutdownGrace: -5 }, "Cannot set shutdownGrace to -5"],
];

for (const [options, message] of REFUSED) {
  Deno.test(`HTTPListener refuses the options ${Deno.inspect(options)}`, () => {
    assertThrows(() => new HTTPListener(options), RangeError, message);
    assertThrows(() => new HTTPListener().configure(options), RangeError, message);
  });
}

Deno.test("HTTPListener takes an option that is undefined as one that is not given", () => {
  assertEquals(new HTTPListener({ port: undefined }) instanceof HTTPListener, true);
});

test("docs/deployment.md tells the default of each limit", { permissions: ["read"] }, async () => {
  const page = await Deno.readTextFile(new URL("../../docs/deployment.md", import.meta.url));
  const rows = page.matchAll(/^\| `(\w+)` +\| ([\d,]+) +\| /gm);
  const told = Array.from(rows, ([, name, value]) => [name, Number(value.replaceAll(",", ""))]);
  const isLimit = (name: string): boolean => /^max|Timeout$|Grace$|^backlog$/.test(name);
  const defaults = Object.entries(resolveOptions({})).filter(([name]) => isLimit(name));
  assertEquals(Object.fromEntries(told), Object.fromEntries(defaults));
  assertEquals(told.length, defaults.length);
});
