/**
 * A page that shows live what an application is doing: routes with counts and latencies, requests and events
 * on a timeline, open connections and their states, and errors.
 *
 * @example
 * ```ts
 * import { HTTPListener } from "@tiny/listener/http";
 * import { inspector } from "@tiny/listener/inspector";
 *
 * const app = new HTTPListener({ port: 8000 });
 * app.use(inspector({ path: "/_inspect" }));
 * app.onEvent("GET:/user/<username>", ({ ctx, params }) => {
 *   return ctx.response(200, `Hello, ${params.username}!`);
 * });
 * // Then open http://127.0.0.1:8000/_inspect.
 * ```
 *
 * @module
 */

export { inspector, type InspectorOptions } from "./inspector/inspector.ts";
