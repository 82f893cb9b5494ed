// Looks for inputs that break the engine: whatever comes, it ends in events or in a documented error,
// however the bytes were cut, and what is built from text that was accepted cannot be read as anything
// else by the other side. Inputs that lead somewhere new are kept in corpus/, which the tests replay.
//
//   deno run --allow-read --allow-write tests/h11/fuzz.ts --minutes 10 --seed 5

import { assert, assertEquals } from "@std/assert";
import * as h11 from "../../h11.ts";
import { cut, mutated, request, response } from "./generate.ts";
import { client, converse, END, latin1, type Log, receive, server } from "./log.ts";
import { Random } from "./random.ts";

/** Bytes, as text, and who gets them: a server, or a client that asked with this method. */
export type Input = [to: string, message: string];

export const METHODS = ["GET", "HEAD", "POST", "CONNECT"];
const RECEIVERS = ["SERVER", "SERVER", "SERVER", "SERVER", ...METHODS];

const CORPUS = new URL("corpus/inputs.jsonl", import.meta.url);

/** The inputs that were kept, one a line. */
export function readCorpus(): Input[] {
  return Deno.readTextFileSync(CORPUS).trimEnd().split("\n").map((line) => JSON.parse(line));
}

function writeCorpus(inputs: Input[]): void {
  Deno.writeTextFileSync(CORPUS, inputs.map((input) => JSON.stringify(input) + "\n").join(""));
}

/** Small limits, so that short inputs reach them. */
const LIMITS = { maxIncompleteEventSize: 300, maxTargetSize: 40, maxFields: 8 };

function observed(to: string, parts: Uint8Array[]): Log {
  return to === "SERVER"
    ? converse(server(LIMITS), [...parts, END])
    : receive(client(to, LIMITS), [...parts, END]);
}

/**
 * Gives the bytes to the engine in several ways.
 *
 * @returns Where the input leads to: the kinds of its last events, and why it was refused.
 * @throws {Error} The engine threw what it should not, or the ways differ.
 */
export function check([to, message]: Input, random: Random): string {
  const bytes = latin1(message);
  const whole = observed(to, bytes.length === 0 ? [] : [bytes]);
  const byteByByte = Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
  assertEquals(observed(to, byteByByte).lines, whole.lines);
  assertEquals(observed(to, cut(random, bytes)).lines, whole.lines);
  const kinds = whole.lines.slice(-3).map((line) =>
    /^(data|end|closed|PAUSED|refused \d+|HTTP)/.exec(line)?.[0] ?? "request"
  );
  // Of the reason what does not come from the input.
  const reason = whole.error?.message.replaceAll(/"(?:[^"\\]|\\.)*"…?|\d+/g, "*") ?? "";
  return `${to === "SERVER" ? "SERVER" : "CLIENT"} ${kinds.join(", ")}: ${reason}`;
}

const NASTY = [
  ...'aZ09-_.~ \t\r\n\0\x01\x7f\x80\xff:;,=/?#*@[]%"\\(){}',
  ...["\r\n", "\u0100", "\u010d\u010a", "\u212a", "\ud800", "😀", "HTTP/1.1", "chunked", "http://"],
];
function nasty(random: Random): string {
  return random.some(0, 4, () => random.pick(NASTY)).join("");
}

/**
 * Builds a request and a response from text that no one should, and sends what can be built.
 *
 * @throws {Error} The other side read something else, or a constructor threw what it should not.
 */
export function checkBuilding(random: Random): void {
  const text = (good: string): string => random.chance(0.6) ? good : nasty(random);
  const headers: [string, string][] = [
    ["Host", text("a")],
    ...random.some(0, 2, (): [string, string] => [text("X"), text("b c")]),
  ];
  try {
    const ask = new h11.Request({ method: text("GET"), target: text("/"), headers });
    const answer = new h11.Response({
      statusCode: random.pick([200, 204, 999]),
      reason: text("OK"),
      headers: headers.slice(1),
    });
    const conns = [new h11.Connection(h11.CLIENT), new h11.Connection(h11.SERVER)];
    const [c, s] = conns;
    s.receiveData(c.send(ask)!);
    const asked = s.nextEvent();
    assert(asked instanceof h11.Request);
    assertEquals([asked.method, asked.target], [ask.method, ask.target]);
    assertEquals(sorted(asked.headers), sorted(ask.headers));
    c.receiveData(s.send(answer)!);
    const answered = c.nextEvent();
    assert(answered instanceof h11.Response);
    assertEquals([answered.statusCode, answered.reason], [answer.statusCode, answer.reason]);
    const added = new Set(["connection", "transfer-encoding", "content-length"]);
    const kept = (headers: h11.Headers): string[] =>
      sorted(headers).filter((line) => !added.has(line.split(":")[0].toLowerCase()));
    assertEquals(kept(answered.headers), kept(answer.headers));
  } catch (error) {
    if (!(error instanceof h11.LocalProtocolError)) throw error;
  }
}

function sorted(headers: h11.Headers): string[] {
  return headers.rawItems().map((pair) => pair.join(": ")).sort();
}

/** A new input: a message of its own, or one of `corpus` changed. */
export function someInput(random: Random, corpus: Input[]): Input {
  if (corpus.length > 0 && random.chance(0.6)) {
    const [to, message] = random.pick(corpus);
    return [to, mutated(random, random.chance(0.1) ? message + random.pick(corpus)[1] : message)];
  }
  const to = random.pick(RECEIVERS);
  const make = (): string => to === "SERVER" ? request(random) : response(random, to);
  return [to, mutated(random, make() + (random.chance(0.3) ? make() : ""))];
}

/** Fuzzes until `isOver`, calls `found` with what leads somewhere new. */
export function fuzz(
  random: Random,
  corpus: Input[],
  isOver: (runs: number) => boolean,
  found: (signature: string, input: Input) => void,
): void {
  for (let runs = 0; !isOver(runs); runs++) {
    const input = someInput(random, corpus);
    let signature;
    try {
      signature = check(input, random);
      checkBuilding(random);
    } catch (error) {
      throw new Error(`run ${runs}: ${JSON.stringify(input)}`, { cause: error });
    }
    found(signature, input);
  }
}

if (import.meta.main) {
  const argument = (name: string, standard: number): number =>
    Number(Deno.args[Deno.args.indexOf(`--${name}`) + 1 || Deno.args.length] ?? standard);
  const seed = argument("seed", Date.now() % 2 ** 32);
  const random = new Random(seed);
  const end = Date.now() + argument("minutes", 1) * 60_000;
  // The shortest input for each place that an input leads to.
  const shortest = new Map<string, Input>();
  const corpus: Input[] = [];
  const keep = (signature: string, input: Input): void => {
    const known = shortest.get(signature);
    if (known === undefined) corpus.push(input);
    if (known === undefined || input[1].length < known[1].length) shortest.set(signature, input);
  };
  for (const input of readCorpus()) keep(check(input, random), input);
  console.log(`seed ${seed}, ${shortest.size} inputs in the corpus`);
  let total = 0;
  fuzz(random, corpus, (runs) => {
    total = runs;
    return Date.now() > end;
  }, keep);
  writeCorpus(Array.from(shortest.values()).sort());
  console.log(`${total} runs, ${shortest.size} inputs in the corpus`);
}
