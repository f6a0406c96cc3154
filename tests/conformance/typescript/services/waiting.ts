import * as restate from "@restatedev/restate-sdk";
import type { Context, ObjectContext, ObjectSharedContext, WorkflowContext, WorkflowSharedContext } from "@restatedev/restate-sdk";

import { probe } from "../probe.ts";
import { call } from "./basic.ts";

const published = async (ctx: ObjectSharedContext) => (await ctx.get<string>("awk")) ?? "";

export const Awakeables = (_name: string) => ({
  // wait makes an awakeable, publishes its id in the state, and waits for it.
  wait: async (ctx: ObjectContext) => {
    const { id, promise } = ctx.awakeable<string>();
    ctx.set("awk", id);
    try {
      return await promise;
    } finally {
      ctx.clear("awk");
    }
  },

  waitRaw: async (ctx: ObjectContext) => {
    const { id, promise } = ctx.awakeable(restate.serde.binary);
    ctx.set("awk", id);
    return await promise;
  },

  // waitOr waits for the awakeable at most ms milliseconds.
  waitOr: async (ctx: ObjectContext, ms: number) => {
    const { id, promise } = ctx.awakeable<string>();
    ctx.set("awk", id);
    const timer = ctx.sleep(ms).map(() => "timeout");
    return await restate.RestatePromise.race([promise, timer]);
  },

  // waitMany makes n awakeables and answers their values in order.
  waitMany: async (ctx: ObjectContext, n: number) => {
    const all = Array.from({ length: n }, () => ctx.awakeable<string>());
    ctx.set(
      "awks",
      all.map((a) => a.id),
    );
    const values = [];
    for (const a of all) values.push(await a.promise);
    return values;
  },

  awakeable: published,
  awakeableIds: async (ctx: ObjectSharedContext) => (await ctx.get<string[]>("awks")) ?? [],
});

interface Completion {
  id: string;
  name: string;
  value: string;
}

const signal = (ctx: Context, c: Completion) => ctx.invocation(restate.InvocationIdParser.fromString(c.id)).signal<string>(c.name);

export const Completer = (_name: string) => ({
  resolveAwakeable: async (ctx: Context, c: Completion) => ctx.resolveAwakeable(c.id, c.value),
  rejectAwakeable: async (ctx: Context, c: Completion) => ctx.rejectAwakeable(c.id, c.value),
  resolveSignal: async (ctx: Context, c: Completion) => signal(ctx, c).resolve(c.value),
  rejectSignal: async (ctx: Context, c: Completion) => signal(ctx, c).reject(c.value),

  // awaitSignals waits for the named signals in the order given.
  awaitSignals: async (ctx: Context, names: string[]) => {
    const values = [];
    for (const name of names) values.push(await ctx.signal<string>(name));
    return values;
  },
});

interface Job {
  text: string;
  // waitFor names a promise that the run waits for; none if empty.
  waitFor?: string;
  // fail ends the run with a terminal error of this text.
  fail?: string;
}

export const Flow = (_name: string) => ({
  run: async (ctx: WorkflowContext, job: Job) => {
    await probe.hit(`flow/${ctx.key}`);
    ctx.set("text", job.text);
    if (job.fail) throw new restate.TerminalError(job.fail, { errorCode: 422 });
    if (!job.waitFor) return `done ${job.text}`;
    const value = await ctx.promise<string>(job.waitFor);
    ctx.set("got", value);
    return `${job.text}+${value}`;
  },

  text: async (ctx: WorkflowSharedContext) => (await ctx.get<string>("text")) ?? "",
  resolve: (ctx: WorkflowSharedContext, c: Completion) => ctx.promise<string>(c.name).resolve(c.value),
  reject: (ctx: WorkflowSharedContext, c: Completion) => ctx.promise<string>(c.name).reject(c.value),
  peek: async (ctx: WorkflowSharedContext, name: string) => (await ctx.promise<string>(name).peek()) ?? null,
  await: (ctx: WorkflowSharedContext, name: string) => ctx.promise<string>(name).get(),
});

interface Block {
  on: string;
  // probe gets a line with code and message of the error by which the block was broken.
  probe: string;
  // child is the key of the object that is called with "call".
  child?: string;
  // recover swallows the error and answers a value instead.
  recover?: boolean;
}

export const Blocker = (name: string) => {
  const hour = 3_600_000;
  const block = async (ctx: ObjectContext, b: Block): Promise<unknown> => {
    switch (b.on) {
      case "sleep":
        return await ctx.sleep(hour);
      case "awakeable":
        return await ctx.awakeable<string>().promise;
      case "call":
        return await call(ctx, { service: name, key: b.child, handler: "block", body: { on: "awakeable", probe: `${b.probe}/child` } });
      case "run":
        return await ctx.run(
          "never",
          () => {
            throw new Error("never works");
          },
          { initialRetryInterval: 50, maxRetryInterval: 50 },
        );
      case "signal":
        return await ctx.signal<string>("never");
      default:
        throw new restate.TerminalError(`unknown block ${b.on}`);
    }
  };
  return {
    block: async (ctx: ObjectContext, b: Block) => {
      await probe.hit(`${b.probe}/started`);
      try {
        await block(ctx, b);
      } catch (e) {
        if (!(e instanceof restate.TerminalError)) throw e;
        await probe.log(b.probe, `${e.code} ${e.message}`);
        ctx.set("ended", e.message);
        if (!b.recover) throw e;
        // After a cancellation was taken, further durable steps work again.
        const value = await ctx.run(() => "compensated");
        await ctx.sleep(5);
        return value;
      }
      return "not blocked";
    },

    ping: async (_ctx: ObjectContext, s: string) => s,
    ended: async (ctx: ObjectSharedContext) => (await ctx.get<string>("ended")) ?? "",
  };
};

export const Timers = (_name: string) => ({
  // sleep sleeps the given durations one after another.
  sleep: async (ctx: Context, input: { ms: number[]; probe?: string }) => {
    for (const ms of input.ms) {
      if (input.probe) await probe.hit(input.probe);
      await ctx.sleep(ms);
    }
    return input.ms.length;
  },

  // order starts all timers at once and answers the durations in the order they fired. Of those that
  // fire between two looks a race tells the first of its list, so the list is by length.
  order: async (ctx: Context, input: { ms: number[] }) => {
    let left = input.ms.map((ms) => ({ ms, timer: ctx.sleep(ms).map(() => ms) }));
    left.sort((a, b) => a.ms - b.ms);
    const fired: number[] = [];
    while (left.length > 0) {
      const ms = await restate.RestatePromise.race(left.map((l) => l.timer));
      fired.push(ms);
      left = left.filter((l) => l.ms !== ms);
    }
    return fired;
  },

  // stamp notes the time of its execution.
  stamp: (_ctx: Context, key: string) => probe.log(key, String(Date.now())).then(() => undefined),
  stampTag: (_ctx: Context, e: { key: string; value: string }) => probe.log(e.key, e.value).then(() => undefined),
});

export const Versioned = (_name: string, version: string) => ({
  version: async (_ctx: ObjectSharedContext) => version,

  // span notes the version before and after a wait.
  span: async (ctx: ObjectContext) => {
    const before = await ctx.run(() => version);
    const { id, promise } = ctx.awakeable<string>();
    ctx.set("awk", id);
    await promise;
    return [before, version];
  },

  awakeable: published,
});
