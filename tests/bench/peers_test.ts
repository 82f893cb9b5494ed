// The servers of the benchmark give the right answers to what they are timed with.

import { type Case, CASES } from "../../bench/cases.ts";
import { makeCertificate } from "../../bench/certificate.ts";
import { checkAnswer } from "../../bench/check.ts";
import { type Peer, PEERS, programOptions, takesPart } from "../../bench/peers/mod.ts";
import { Server } from "../../bench/server.ts";
import { test } from "../needs.ts";

for (const peer of PEERS) {
  test(
    `${peer.title.replaceAll("`", "")} answers what the benchmark asks`,
    {
      permissions: ["net", "read", "write", "run"],
      programs: ["/usr/bin/openssl"],
      commands: peer.needs,
    },
    async () => {
      const folder = await Deno.makeTempDir();
      try {
        await checkAll(peer, folder);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  );
}

/** Checks all cases a peer takes part in; those with the same options on one server. */
async function checkAll(peer: Peer, folder: string): Promise<void> {
  const tls = await makeCertificate(folder);
  const cert = await Deno.readTextFile(tls.cert);
  const command = await peer.prepare(folder);
  const cases = CASES.filter((it) => takesPart(peer, it));
  const key = (it: Case): string => JSON.stringify(programOptions(peer, it, tls));
  for (const group of Map.groupBy(cases, key).values()) {
    await using server = await Server.start(command, programOptions(peer, group[0], tls));
    for (const it of group) await checkAnswer(it, server.port, cert);
  }
}
