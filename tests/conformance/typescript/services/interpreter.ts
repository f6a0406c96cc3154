import * as restate from "@restatedev/restate-sdk";
import type { ObjectContext, ObjectSharedContext, RestatePromise } from "@restatedev/restate-sdk";

import { call, send, type Target } from "./basic.ts";

// Command is one step of a program. op is one of
//
//   set, get, clear, sleep, run, runFail, awakeable, signal, call, send, resolve, reject, fail
//   one, first, any, anyOk, all, settled   (combinators over of)
interface Command {
  op: string;
  key?: string;
  value?: string;
  ms?: number;
  of?: Command[];
  to?: Target;
}

// start begins something that can be waited for.
function start(ctx: ObjectContext, c: Command): RestatePromise<string> {
  switch (c.op) {
    case "sleep":
      return mapped(ctx.sleep(c.ms ?? 0), () => "slept");
    case "run":
      return ctx.run(async () => {
        await new Promise((resolve) => setTimeout(resolve, c.ms ?? 0));
        return c.value ?? "";
      });
    case "runFail":
      return ctx.run((): string => {
        throw new restate.TerminalError(c.value ?? "");
      });
    case "awakeable": {
      const { id, promise } = ctx.awakeable<string>();
      ctx.set(`awk/${c.key}`, id);
      return promise;
    }
    case "signal":
      return ctx.signal<string>(c.key ?? "");
    case "call":
      return mapped(call<Uint8Array>(ctx, c.to!, restate.serde.binary), (b) => new TextDecoder().decode(b));
    default:
      throw new restate.TerminalError(`${c.op} is nothing to wait for`);
  }
}

// mapped maps a value and leaves a failure as it is.
function mapped<T>(promise: RestatePromise<T>, f: (value: T) => string): RestatePromise<string> {
  return promise.map((value, failure) => {
    if (failure !== undefined) throw failure;
    return f(value as T);
  });
}

async function combine(ctx: ObjectContext, c: Command): Promise<string> {
  const all = (c.of ?? []).map((x) => start(ctx, x));
  switch (c.op) {
    case "one":
      return await all[0];
    case "any":
      return await restate.RestatePromise.race(all.map((p, i) => p.map(() => String(i))));
    case "first":
      return await restate.RestatePromise.race(all);
    case "anyOk":
      try {
        return await restate.RestatePromise.any(all);
      } catch (e) {
        if (e instanceof AggregateError) throw new restate.TerminalError("all failed");
        throw e;
      }
    case "all":
      return (await restate.RestatePromise.all(all)).join("|");
    case "settled": {
      const settled = await restate.RestatePromise.allSettled(all);
      return settled.map((s) => (s.status === "fulfilled" ? `ok:${s.value}` : `err:${s.reason.message}`)).join("|");
    }
    default:
      throw new restate.TerminalError(`unknown op ${c.op}`);
  }
}

async function execute(ctx: ObjectContext, c: Command): Promise<string> {
  switch (c.op) {
    case "set":
      ctx.set(`s/${c.key}`, c.value ?? "");
      return "";
    case "get":
      return (await ctx.get<string>(`s/${c.key}`)) ?? "";
    case "clear":
      ctx.clear(`s/${c.key}`);
      return "";
    case "send":
      return await send(ctx, c.to!).invocationId;
    case "resolve":
      ctx.resolveAwakeable((await ctx.get<string>(`awk/${c.key}`)) ?? "", c.value ?? "");
      return "";
    case "reject":
      ctx.rejectAwakeable((await ctx.get<string>(`awk/${c.key}`)) ?? "", c.value ?? "");
      return "";
    case "fail":
      throw new restate.TerminalError(c.value ?? "");
    case "one":
    case "any":
    case "first":
    case "anyOk":
    case "all":
    case "settled":
      return await combine(ctx, c);
    default:
      return await start(ctx, c);
  }
}

// complete does something with the awakeable of that name, if it is there.
async function complete(ctx: ObjectSharedContext, name: string, f: (id: string) => void): Promise<boolean> {
  const id = await ctx.get<string>(`awk/${name}`);
  if (!id) return false;
  f(id);
  return true;
}

// Interpreter runs programs of commands. Each command adds its result to the list in the state; the
// last result is the answer.
export const Interpreter = (_name: string) => ({
  interpret: async (ctx: ObjectContext, program: Command[]) => {
    let last = "";
    for (const [i, c] of program.entries()) {
      last = await execute(ctx, c);
      ctx.set("results", [...((await ctx.get<string[]>("results")) ?? []), `${i}:${c.op}=${last}`]);
    }
    return last;
  },

  results: async (ctx: ObjectSharedContext) => (await ctx.get<string[]>("results")) ?? [],
  awakeable: async (ctx: ObjectSharedContext, key: string) => (await ctx.get<string>(`awk/${key}`)) ?? "",
  resolve: (ctx: ObjectSharedContext, c: { name: string; value: string }) =>
    complete(ctx, c.name, (id) => ctx.resolveAwakeable(id, c.value)),
  reject: (ctx: ObjectSharedContext, c: { name: string; value: string }) =>
    complete(ctx, c.name, (id) => ctx.rejectAwakeable(id, c.value)),
});
