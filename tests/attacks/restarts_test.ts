// ../soak/restarts.ts in short.

import { assert } from "@std/assert";
import { test } from "../needs.ts";
import { PROCESS } from "../soak/process.ts";
import {
  HAPROXY,
  restartAlone,
  restartBehindHaproxy,
  restartOverlapping,
} from "../soak/restarts.ts";

const FEW = { restarts: 4, each: 2 };

test("SIGTERM under load loses no request that the server took", PROCESS, async () => {
  const { account } = await restartAlone(FEW);
  assert(account.answered.size > 100, `${account.answered.size} answers`);
});

test(
  "SIGTERM under load loses no request while a new server shares the port",
  PROCESS,
  async () => {
    const { account } = await restartOverlapping(FEW);
    assert(account.answered.size > 100, `${account.answered.size} answers`);
  },
);

test(
  "a rolling restart behind docs/deployment.md's HAProxy is noticed by no client",
  { permissions: [...PROCESS.permissions!, "write"], programs: ["/bin/sh", HAPROXY] },
  async () => {
    const { account } = await restartBehindHaproxy(FEW, true);
    assert(account.answered.size > 100, `${account.answered.size} answers`);
  },
);
