// A small service: users in SQLite, a page to add them, and an admin who may remove them.
//
//   ADMIN_TOKEN=secret deno run --allow-net --allow-env=ADMIN_TOKEN \
//     --allow-read=users.db --allow-write=users.db examples/users/main.ts [users.db]
//
// Then open http://127.0.0.1:8000. Ctrl-C stops it. docs/tutorial.md builds it step by step.

import { createApp } from "./app.ts";
import { Users } from "./users.ts";

const adminToken = Deno.env.get("ADMIN_TOKEN");
if (!adminToken) {
  console.error("ERROR: Cannot start: set ADMIN_TOKEN to a secret that only the admin knows");
  Deno.exit(1);
}

const path = import.meta.main ? Deno.args[0] : undefined;
export const app = createApp({ users: new Users(path ?? "users.db"), adminToken });

if (import.meta.main) await app.run();
