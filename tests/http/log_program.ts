// A server with an access log, for log_test.ts.

import { HTTPListener } from "../../http_context.ts";

const app = new HTTPListener({ port: 0 });
app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "Welcome!"));
app.onEvent("GET:/stream", ({ ctx }) => ctx.response(200, ReadableStream.from(["a"])));
await app.run();
