/**
 * An event framework: a {@linkcode Listener} turns whatever it listens to into events, and events run
 * handlers.
 *
 * ```ts
 * import { Listener } from "@tiny/listener/listener";
 *
 * class App extends Listener {
 *   override listen() {
 *     const ctx = this.newCtx();
 *     ctx.triggerEvent("step 2: send email to alice@tl.com");
 *     ctx.triggerEvent("step 1: save Alice's data to database", { data: { age: 35 } });
 *   }
 * }
 *
 * const app = new App();
 * app.onEvent("step 1: save <username>'s data to database", { name: "save" }, ({ params, data }) => {
 *   console.log("Save data", params.username, data);
 * });
 * app.onEvent("step 2: send email to <email>", async (event) => {
 *   await event.waitEventDone("save");
 *   console.log("Send email", event.params.email);
 * });
 * await app.run();
 * ```
 *
 * @module
 */

export { type CompiledPath, compilePath, type PathParam } from "./listener/compile_path.ts";
export {
  Context,
  type ContextClass,
  type ContextOptions,
  type TriggerOptions,
} from "./listener/context.ts";
export type { Converter } from "./listener/converters.ts";
export { type Dependency, depends, type DependsOptions } from "./listener/depends.ts";
export type { AnyEvent, AnyListener, EventHook } from "./listener/dispatcher.ts";
export {
  ContextAlreadyExists,
  ContextNotFound,
  DuplicateListener,
  EventAlreadyDone,
  EventAlreadyExists,
  EventDataError,
  EventNotFound,
  ListenerError,
  ListenerNotFound,
  PathParamsError,
  RouteError,
  TimeoutError,
} from "./listener/errors.ts";
export { Event, type EventOptions, type WaitEventDoneOptions } from "./listener/event.ts";
export type { EventTask } from "./listener/event_task.ts";
export { importFromString } from "./listener/import_from_string.ts";
export {
  getCurrentRunningListener,
  type LifecycleHook,
  type Listening,
  type Source,
} from "./listener/lifecycle.ts";
export {
  type FoundRoute,
  Listener,
  type ListenerOptions,
  type OwnMembers,
} from "./listener/listener.ts";
export type { BuiltinConverters, PathParams } from "./listener/pattern.ts";
export type { AnyHandler, Handler, Route, RouteOptions } from "./listener/route.ts";
