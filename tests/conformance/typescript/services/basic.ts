import * as restate from "@restatedev/restate-sdk";
import type { Context, Serde } from "@restatedev/restate-sdk";

import { probe } from "../probe.ts";

// Failure describes a terminal error to be raised.
export interface Failure {
  message?: string;
  code?: number;
  metadata?: Record<string, string>;
}

export function terminal(f: Failure): restate.TerminalError {
  return new restate.TerminalError(f.message ?? "", { errorCode: f.code || undefined, metadata: f.metadata });
}

export const Echo = (_name: string) => ({
  json: async (_ctx: Context, v: unknown) => v,
  text: async (_ctx: Context, s: string) => s,
  upper: async (_ctx: Context, s: string) => s.toUpperCase(),
  raw: async (_ctx: Context, b: Uint8Array) => b,
  nothing: async (_ctx: Context) => undefined,
  hello: async (_ctx: Context) => "hello",
  headers: async (ctx: Context) => Object.fromEntries(ctx.request().headers),
  id: async (ctx: Context) => ctx.request().id,
  size: async (_ctx: Context, b: Uint8Array) => b.length,
  make: async (_ctx: Context, n: number) => "x".repeat(n),
  fail: async (_ctx: Context, f: Failure) => {
    throw terminal(f);
  },
  hit: (_ctx: Context, key: string) => probe.hit(key),
  sleepy: async (ctx: Context, ms: number) => {
    await ctx.sleep(ms);
    return "awake";
  },
});

export const Text = (_name: string) => ({
  text: async (_ctx: Context, s: string) => `small ${s}`,
});

export const Documented = (_name: string) => ({
  open: async (_ctx: Context, e: { value: string }) => ({ old: 0, new: e.value.length }),
  shut: async (_ctx: Context, s: string) => s,
});

// Target names a handler with its input.
export interface Target {
  service: string;
  key?: string;
  handler: string;
  body?: unknown;
  delayMs?: number;
  idem?: string;
  headers?: Record<string, string>;
  // void sends no body at all.
  void?: boolean;
}

function request(t: Target) {
  return {
    service: t.service,
    method: t.handler,
    key: t.key || undefined,
    parameter: t.void ? undefined : (t.body ?? null),
    inputSerde: (t.void ? restate.serde.empty : restate.serde.json) as Serde<any>,
    headers: t.headers,
    idempotencyKey: t.idem || undefined,
  };
}

export function call<T = unknown>(ctx: Context, t: Target, outputSerde: Serde<any> = restate.serde.json): restate.InvocationPromise<T> {
  return ctx.genericCall<any, any>({ ...request(t), outputSerde });
}

export function send(ctx: Context, t: Target): restate.InvocationHandle {
  return ctx.genericSend<any>({ ...request(t), delay: t.delayMs });
}

// outcome is what a call inside a handler brought.
async function outcome(result: PromiseLike<unknown>, invocationId: string) {
  try {
    return { ok: true, value: await result, invocationId };
  } catch (e) {
    if (!(e instanceof restate.TerminalError)) throw e;
    return { ok: false, error: e.message, code: e.code, invocationId };
  }
}

const idOf = (id: string) => restate.InvocationIdParser.fromString(id);

export const Proxy = (name: string) => ({
  call: (ctx: Context, t: Target) => call(ctx, t),

  // tryCall never fails: it answers how the call ended, and the id of the called invocation.
  tryCall: async (ctx: Context, t: Target) => {
    const result = call(ctx, t);
    return await outcome(result, await result.invocationId);
  },

  send: (ctx: Context, t: Target) => send(ctx, t).invocationId,

  sendMany: async (ctx: Context, targets: Target[]) => {
    for (const t of targets) send(ctx, t);
    return targets.length;
  },

  fanOut: async (ctx: Context, m: { target: Target; n: number; perKey?: boolean }) => {
    const calls = Array.from({ length: m.n }, (_, i) => {
      const t = { ...m.target };
      if (m.perKey) t.key = `${m.target.key}-${i}`;
      if (t.body === undefined && !t.void) t.body = String(i);
      return call(ctx, t);
    });
    return await restate.RestatePromise.all(calls);
  },

  // chain calls itself until depth 0 and counts on the way back.
  chain: async (ctx: Context, c: { depth: number; trace: string }) => {
    if (c.depth === 0) return 0;
    return 1 + (await call<number>(ctx, { service: name, handler: "chain", body: { depth: c.depth - 1, trace: c.trace } }));
  },

  // attach waits for another invocation by its id.
  attach: (ctx: Context, id: string) => outcome(ctx.attach(idOf(id)), id),

  cancel: async (ctx: Context, id: string) => ctx.cancel(idOf(id)),

  // sendThenAttach starts an invocation one-way and waits for its outcome afterwards.
  sendThenAttach: async (ctx: Context, t: Target) => {
    const id = await send(ctx, t).invocationId;
    return await outcome(ctx.attach(id), id);
  },
});
