// The service: its routes, hooks and dependencies, for the users that it is given.

import { depends, type Event, type HTTPContext, HTTPError, HTTPListener } from "../../mod.ts";
import page from "./page.html" with { type: "text" };
import { EmailTaken, InvalidUser, toNewUser, type Users } from "./users.ts";

/** What the service works with. */
export interface Parts {
  users: Users;
  /** Whoever sends this token may remove users. */
  adminToken: string;
}

export function createApp({ users, adminToken }: Parts): HTTPListener {
  const app = new HTTPListener({ port: 8000, maxBodySize: 64 * 1024 });

  app.onEvent("GET:/", ({ ctx }) => {
    return ctx.response(200, page, { "Content-Type": "text/html; charset=utf-8" });
  });

  app.onEvent("GET:/users", () => Response.json(users.all()));

  app.onEvent("GET:/users/<id:int>", ({ ctx, params }) => {
    const user = users.get(params.id) ?? ctx.throw404(`No user has the id ${params.id}`);
    return Response.json(user);
  });

  app.onEvent("POST:/users", async ({ ctx }) => {
    const user = users.add(toNewUser(await ctx.json()));
    return Response.json(user, { status: 201, headers: { Location: `/users/${user.id}` } });
  });

  const admin = depends(({ ctx }: Event<HTTPContext>) => {
    if (ctx.headers.get("authorization") !== `Bearer ${adminToken}`) {
      throw new HTTPError(401, "Only the admin may do that", {
        headers: { "WWW-Authenticate": "Bearer" },
      });
    }
    return { name: "admin" };
  });

  app.onEvent("DELETE:/users/<id:int>", async (event) => {
    const { name } = await event.use(admin);
    const { ctx, params } = event;
    if (!users.remove(params.id)) ctx.throw404(`No user has the id ${params.id}`);
    console.log(`${name} removed user ${params.id}`);
    return ctx.response(204);
  });

  app.onError(InvalidUser, ({ ctx }, error) => ctx.response(422, error.message));
  app.onError(EmailTaken, ({ ctx }, error) => ctx.response(409, error.message));

  app.aroundRequest(async (ctx, next) => {
    const start = performance.now();
    await next();
    const took = Math.round(performance.now() - start);
    if (took > 1000) console.warn(`Slow: ${ctx.method} ${ctx.path} took ${took} ms`);
  });

  app.shutdown(() => users.close());
  return app;
}
