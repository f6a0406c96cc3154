// Handlers of the unmodified TypeScript SDK. Node 22 runs this file as it is.
//
//   ../../node_modules/.bin/node service.ts PORT
import * as restate from "@restatedev/restate-sdk";

const greeter = restate.service({
  name: "TsGreeter",
  handlers: {
    greet: async (_ctx: restate.Context, name: string) => `Hello ${name}`,

    // Two steps with a durable sleep between them.
    slowly: async (ctx: restate.Context, millis: number) => {
      const before = await ctx.run("before", () => Math.random());
      await ctx.sleep(millis);
      const after = await ctx.run("after", () => Math.random());
      return { before, after };
    },

    // Adds to several counters at once and waits for all.
    addAll: async (ctx: restate.Context, keys: string[]) =>
      restate.RestatePromise.all(keys.map((key) => ctx.objectClient(counter, key).add(1))),

    fail: async (_ctx: restate.Context, message: string) => {
      throw new restate.TerminalError(message, { errorCode: 418 });
    },
  },
});

const counter = restate.object({
  name: "TsCounter",
  handlers: {
    add: async (ctx: restate.ObjectContext, n: number) => {
      const sum = ((await ctx.get<number>("sum")) ?? 0) + n;
      ctx.set("sum", sum);
      return sum;
    },

    // Waits until it is woken from outside; others read the id meanwhile.
    wait: async (ctx: restate.ObjectContext) => {
      const { id, promise } = ctx.awakeable<string>();
      ctx.set("awakeable", id);
      const woken = await promise;
      ctx.clear("awakeable");
      return woken;
    },

    awakeable: restate.handlers.object.shared(async (ctx: restate.ObjectSharedContext) => (await ctx.get<string>("awakeable")) ?? ""),
  },
});

const port = Number(process.argv[2]);
await restate.serve({ services: [greeter, counter], port });
