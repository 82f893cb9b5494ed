// The comparison as a page: what each server does with each row, and which rule decides.

import { allows, type Case, type Outcome } from "./case.ts";
import type { Result } from "./probe.ts";
import { ruleNames } from "./answers.ts";
import { TABLE } from "./table.ts";

/** Where the page is kept. */
export const REPORT = new URL("RESULTS.md", import.meta.url);

/** One column. */
export interface Column {
  name: string;
  version: string;
  results: ReadonlyMap<Case, Result>;
}

/** Writes the page. */
export function render(columns: readonly Column[]): string {
  const lines = [
    "# Conformance: this server and three others",
    "",
    "Written by `deno run -A tests/conformance/compare.ts`, which sends each row over a connection of its own,",
    "with one request more behind it.",
    "",
    `Servers: ${columns.map(({ name, version }) => `${name} (${version})`).join(", ")}.`,
    "",
    "A cell shows the answers in order, a 200 with what the request was taken for (method, host, path, bytes of",
    'body), and how the connection went on: "next", the request behind was answered; "closed", it was not;',
    '"waits", nothing more came. ✗ marks what the rule above the table forbids or advises against. Where cells',
    "differ without a mark, the rule leaves the choice; a few change from run to run, where a server races with",
    "its client's close.",
    "",
    "nginx hands requests on, as it does for an application, so its cells show what the application gets.",
    "",
    "| | " + columns.map(({ name }) => name).join(" | ") + " |",
    "|---|" + columns.map(() => "---:|").join(""),
    `| rows | ${columns.map(({ results }) => results.size).join(" | ")} |`,
    `| not allowed (✗) | ${columns.map(countNotAllowed).join(" | ")} |`,
  ];
  for (const { section, rule, cases } of TABLE) {
    lines.push(
      "",
      `## ${section}: ${rule}`,
      "",
      tableRow(["what is sent", ...columns.map(({ name }) => name)]),
      `|---|${columns.map(() => "---|").join("")}`,
    );
    for (const row of cases) {
      const cells = columns.map(({ results }) => cell(row, results.get(row)!.outcome));
      lines.push(tableRow([row.what, ...cells]));
    }
    for (const { what, departs } of cases) {
      if (departs !== null) lines.push("", `tiny-listener refuses ${what}: ${departs}.`);
    }
  }
  lines.push(
    "",
    "## The answers themselves",
    "",
    "What RFC 9110 and 9112 ask of every answer, and the rows whose answers break it.",
    "",
    tableRow(["rule", ...columns.map(({ name }) => name)]),
    `|---|${columns.map(() => "---|").join("")}`,
  );
  for (const rule of ruleNames()) {
    lines.push(tableRow([rule, ...columns.map(({ results }) => breaches(results, rule))]));
  }
  return lines.join("\n") + "\n";
}

function countNotAllowed({ results }: Column): number {
  return [...results].filter(([row, { outcome }]) => !allows(row, outcome)).length;
}

/** One cell. */
export function cell(row: Case, outcome: Outcome): string {
  return escape(short(outcome)) + (allows(row, outcome) ? "" : " ✗");
}

/** One line of a table. */
export function tableRow(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

function breaches(results: ReadonlyMap<Case, Result>, rule: string): string {
  const rows = [...results].filter(([, { broken }]) => broken.includes(rule)).map(([row]) => row);
  if (rows.length === 0) return "kept";
  const [{ what }] = rows;
  return rows.length === 1 ? `✗ ${what}` : `✗ ${what}, and ${rows.length - 1} more`;
}

/** Long paths and long runs of the same answer are cut. */
function short(outcome: Outcome): string {
  const cut = outcome.replace(/(.)\1{20,}/g, "$1…");
  return cut.length > 90 ? `${cut.slice(0, 44)} … ${cut.slice(-40)}` : cut;
}

/** What is not printable is shown by its code; what Markdown takes for its own is escaped. */
function escape(text: string): string {
  return text
    .replace(/[^ -~…]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`)
    .replace(/[\\|*<_[\]]/g, "\\$&");
}
