import * as restate from "@restatedev/restate-sdk";
import type { ObjectContext, ObjectSharedContext } from "@restatedev/restate-sdk";

import { probe } from "../probe.ts";
import { call, send } from "./basic.ts";

interface SlowAdd {
  value: number;
  ms?: number;
  probe?: string;
  tag?: string;
  // gate, if set, is waited for inside a durable step before the value is written.
  gate?: string;
}

const count = async (ctx: ObjectSharedContext) => (await ctx.get<number>("count")) ?? 0;

// write replaces old by old+n.
function write(ctx: ObjectContext, old: number, n: number) {
  ctx.set("count", old + n);
  return { old, new: old + n };
}

export const Counter = (_name: string) => ({
  add: async (ctx: ObjectContext, n: number) => write(ctx, await count(ctx), n),
  get: count,
  read: count,
  reset: async (ctx: ObjectContext) => ctx.clear("count"),

  // addThenFail writes, then ends with a terminal error: the write stays.
  addThenFail: async (ctx: ObjectContext, n: number) => {
    const u = write(ctx, await count(ctx), n);
    throw new restate.TerminalError(`refused after ${u.new}`, { errorCode: 418 });
  },

  // addFlaky writes, then fails the attempt twice in a retryable way: the write happens once.
  addFlaky: async (ctx: ObjectContext, n: number) => {
    const u = write(ctx, await count(ctx), n);
    if ((await probe.hit(`flaky/${ctx.key}`)) < 3) throw new Error("not yet");
    return u;
  },

  // addSlow holds the key while it sleeps. It notes who is inside, and, in a step, each execution once.
  addSlow: async (ctx: ObjectContext, input: SlowAdd) => {
    const { probe: key, gate } = input;
    if (key) {
      await probe.enter(ctx, key);
      await ctx.run(() => probe.log(key, input.tag ?? ""));
    }
    const old = await count(ctx);
    if (gate) await ctx.run(() => probe.wait(ctx, gate));
    if (input.ms) await ctx.sleep(input.ms);
    return write(ctx, old, input.value);
  },
});

export const Map = (_name: string) => ({
  set: async (ctx: ObjectContext, e: { key: string; value: string }) => ctx.set(e.key, e.value),
  get: (ctx: ObjectSharedContext, key: string) => ctx.get<string>(key),
  clear: async (ctx: ObjectContext, key: string) => ctx.clear(key),
  keys: async (ctx: ObjectSharedContext) => (await ctx.stateKeys()).sort(),

  clearAll: async (ctx: ObjectContext) => {
    const entries = [];
    for (const key of (await ctx.stateKeys()).sort()) entries.push({ key, value: await ctx.get<string>(key) });
    ctx.clearAll();
    return entries;
  },

  // within does many state operations in one invocation and says what it saw on the way.
  within: async (ctx: ObjectContext) => {
    const seen: string[] = [];
    const note = async (key: string) => {
      seen.push(`${key}=${(await ctx.get<string>(key)) ?? "<none>"}`);
    };
    await note("a");
    ctx.set("a", "1");
    await note("a");
    ctx.set("a", "2");
    await note("a");
    ctx.clear("a");
    await note("a");
    ctx.set("b", "");
    await note("b");
    ctx.clearAll();
    await note("b");
    ctx.set("c", "3");
    await note("c");
    return seen;
  },

  fill: async (ctx: ObjectContext, f: { count: number; size: number }) => {
    for (let i = 0; i < f.count; i++) {
      ctx.set(`k${String(i).padStart(5, "0")}`, String.fromCharCode(97 + (i % 26)).repeat(f.size));
    }
  },

  // weigh reads every value and answers count and total size.
  weigh: async (ctx: ObjectContext) => {
    const keys = (await ctx.stateKeys()).sort();
    let size = 0;
    for (const key of keys) size += ((await ctx.get<string>(key)) ?? "").length;
    return { count: keys.length, size };
  },
});

const list = async (ctx: ObjectSharedContext) => (await ctx.get<string[]>("list")) ?? [];

export const List = (name: string) => ({
  append: async (ctx: ObjectContext, s: string) => {
    const l = [...(await list(ctx)), s];
    ctx.set("list", l);
    return l.length;
  },

  get: list,

  // appendSelf sends n one-way requests to its own key and then appends "self": they come after.
  appendSelf: async (ctx: ObjectContext, n: number) => {
    for (let i = 0; i < n; i++) send(ctx, { service: name, key: ctx.key, handler: "append", body: `later-${i}` });
    ctx.set("list", [...(await list(ctx)), "self"]);
  },

  // callSelf calls its own exclusive handler and waits: only a cancellation can end it.
  callSelf: (ctx: ObjectContext) => call<number>(ctx, { service: name, key: ctx.key, handler: "append", body: "never" }),

  // peekSelf calls its own shared handler, which is allowed while it holds the key.
  peekSelf: async (ctx: ObjectContext) => (await call<string[]>(ctx, { service: name, key: ctx.key, handler: "get", void: true })).length,
});
