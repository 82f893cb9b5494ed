// The load: wrk, which sends the bytes of a case over 64 connections, as fast as they are answered.

import { type Case, requestOf } from "./cases.ts";
import { outputOf } from "./command.ts";

/** Connections that are open at a time. */
export const CONNECTIONS = 64;

/** What wrk has seen. */
export interface Load {
  /** Answers. */
  requests: number;
  /** Seconds it took. */
  seconds: number;
  /** Milliseconds in which 99 of 100 answers had come. */
  p99: number;
  /** What went wrong: 4xx and 5xx answers, failed connections; null where nothing did. */
  failure: string | null;
}

/** As `done()` prints it. */
interface Report {
  requests: number;
  duration: number;
  p99: number;
  errors: Record<"connect" | "read" | "write" | "status" | "timeout", number>;
}

/** Loads a server for so many seconds. */
export async function load(it: Case, port: number, seconds: number): Promise<Load> {
  const script = await Deno.makeTempFile({ prefix: "bench-", suffix: ".lua" });
  try {
    await Deno.writeTextFile(script, lua(it, port));
    const url = `${it.isTls ? "https" : "http"}://127.0.0.1:${port}/`;
    const output = await outputOf([
      ...["wrk", "-t1", `-c${CONNECTIONS}`, `-d${seconds}s`, "--timeout", "10s", "-s", script, url],
    ]);
    const line = /^report (.*)$/m.exec(output)?.[1];
    if (line === undefined) throw new Error(`Cannot read what wrk prints: ${output}`);
    return read(JSON.parse(line));
  } finally {
    await Deno.remove(script);
  }
}

function read({ requests, duration, p99, errors }: Report): Load {
  const failures = Object.entries(errors).filter(([, count]) => count > 0);
  if (requests === 0) failures.push(["answers", 0]);
  return {
    requests,
    seconds: duration / 1e6,
    p99: p99 / 1e3,
    failure: failures.map(([kind, count]) => `${kind}: ${count}`).join(", ") || null,
  };
}

/**
 * The script: wrk asks `wrk.format()` once for what it sends, and counts the requests in it; where there is a
 * `request()`, it asks that each time.
 */
function lua(it: Case, port: number): string {
  const requests = [it.head, ...it.others ?? []].map((head) =>
    quote(requestOf({ ...it, head }, `127.0.0.1:${port}`))
  );
  return `
local pipelined = ${it.pipelined ?? 1}
local requests = { ${requests.join(", ")} }
wrk.format = function() return requests[1] end
if #requests > 1 then
  local turn = 0
  request = function()
    turn = turn % #requests + 1
    return requests[turn]
  end
end
${P99}
function done(summary, latency)
  local e = summary.errors
  print(string.format(
    'report {"requests":%d,"duration":%d,"p99":%d,' ..
    '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}',
    summary.requests, summary.duration, p99(summary, latency),
    e.connect, e.read, e.write, e.status, e.timeout))
end
`;
}

/**
 * wrk adds times that it has not measured: for each one longer than twice the mean, that less the mean,
 * less twice the mean, and so on, as if requests had waited to be sent. Here none wait. So they are taken
 * out again, from the longest on, until what is left over is one in a hundred.
 */
const P99 = `
function p99(summary, latency)
  local perConnection = math.floor(summary.requests / ${CONNECTIONS})
  if perConnection == 0 then return latency.max end
  local mean = math.floor(summary.duration / perConnection)
  local wanted = summary.requests / pipelined / 100
  local added = {}
  for i = #latency, 1, -1 do
    local time, count = latency(i)
    count = count - (added[time] or 0)
    if time >= 2 * mean then
      for earlier = time - mean, mean + 1, -mean do
        added[earlier] = (added[earlier] or 0) + count
      end
    end
    wanted = wanted - count
    if wanted <= 0 then return time end
  end
  return 0
end
`;

function quote(text: string): string {
  return `"${
    text.replaceAll(/[^ !#-[\]-~]/g, (it) => `\\${`${it.charCodeAt(0)}`.padStart(3, "0")}`)
  }"`;
}
