// This server against the table, over sockets, and in pieces as they may come.

import { assert, assertEquals } from "@std/assert";
import { serving } from "../http/serving.ts";
import { test } from "../needs.ts";
import { allows, type Case } from "./case.ts";
import { routes } from "./ours.ts";
import { type Arrival, probe } from "./probe.ts";
import { cell, REPORT } from "./report.ts";
import { TABLE } from "./table.ts";

/** Milliseconds after which a server that says nothing fails the test: never waited for. */
const PATIENCE = 60_000;

/** Messages longer than this are not sent byte by byte. */
const PIECES_MAX = 1_000;

function* arrivals({ message }: Case): Generator<Arrival> {
  yield "whole";
  if (typeof message !== "string") return;
  if (message.length <= PIECES_MAX) yield "byte by byte";
  for (let i = 1; i <= 3; i++) yield { cutAt: Math.ceil(message.length * i / 4) };
  if (message.length > 2) yield { cutAt: message.length - 1 };
}

for (const { section, cases } of TABLE) {
  for (const row of cases) {
    const [expected] = row.may;
    const shown = expected.length > 100 ? `${expected.slice(0, 100)}…` : expected;
    test(`${row.what} gets "${shown}" (${section})`, { permissions: ["net"] }, async () => {
      assert(
        allows(row, expected) !== (row.departs !== null),
        "the RFC allows what does not depart",
      );
      await using app = await serving(routes);
      await Promise.all(Array.from(arrivals(row), async (arrival) => {
        const result = await probe(app.addr.port, row, arrival, PATIENCE);
        assertEquals({ arrival, ...result }, { arrival, outcome: expected, broken: [] });
      }));
    });
  }
}

test("RESULTS.md shows what the table says of this server", { permissions: ["read"] }, async () => {
  const page = (await Deno.readTextFile(REPORT)).split("\n");
  const begin = page.findIndex((line) => line.startsWith("## "));
  const end = page.findIndex((line) => line.startsWith("## The answers themselves"));
  const shown = page.slice(begin, end).flatMap((line) => {
    if (line.startsWith("## ")) return [line];
    const [, what, ours] = line.split("|").map((cell) => cell.trim());
    const isRow = what !== undefined && !/^(what is sent|-+)$/.test(what);
    return isRow ? [`${what}: ${ours}`] : [];
  });
  assertEquals(
    shown,
    TABLE.flatMap(({ section, rule, cases }) => [
      `## ${section}: ${rule}`,
      ...cases.map((row) => `${row.what}: ${cell(row, row.may[0])}`),
    ]),
  );
});
