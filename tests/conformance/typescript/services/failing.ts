import * as restate from "@restatedev/restate-sdk";
import type { Context, ObjectContext } from "@restatedev/restate-sdk";

import { probe } from "../probe.ts";
import { send, terminal, type Failure } from "./basic.ts";

interface Tries {
  probe: string;
  // fail is how many attempts fail before one works.
  fail: number;
  text?: string;
}

const flaky = async (_ctx: Context, t: Tries) => {
  const n = await probe.hit(t.probe);
  await probe.log(t.probe, String(Date.now()));
  if (n <= t.fail) throw new Error(`attempt ${n} fails: ${t.text}`);
  return n;
};

export const Failing = (_name: string) => ({
  terminal: async (_ctx: Context, f: Failure) => {
    throw terminal(f);
  },

  flaky,
  killAtThree: flaky,
  pauseAtThree: flaky,
  backsOff: flaky,
  slowRetry: flaky,

  // coded fails its first attempts with an error that carries a status code and yet is retried.
  coded: async (_ctx: Context, t: Tries) => {
    const n = await probe.hit(t.probe);
    if (n <= t.fail) throw new restate.RetryableError(t.text ?? "", { errorCode: 429 });
    return n;
  },

  // panics fails with something that is no error at all.
  panics: async (_ctx: Context, t: Tries) => {
    const n = await probe.hit(t.probe);
    if (n <= t.fail) throw `boom ${t.text}`;
    return n;
  },

  // stepThenFail does a durable step before each failing attempt: the step is not repeated.
  stepThenFail: async (ctx: Context, t: Tries) => {
    const value = await ctx.run(() => probe.hit(`${t.probe}/step`));
    if ((await probe.hit(t.probe)) <= t.fail) throw new Error("not yet");
    return value;
  },
});

// NonDet breaks determinism: its second attempt takes another path than its first.
export const NonDet = (_name: string) => {
  type Path = (ctx: ObjectContext) => void;
  const broken = (first: Path, second: Path) => async (ctx: ObjectContext, key: string) => {
    if ((await probe.hit(key)) === 1) first(ctx);
    else second(ctx);
    // Let the journal reach the server, then go down: the next attempt has to replay.
    await ctx.sleep(10);
    if ((await probe.hits(key)) < 2) throw new Error("second attempt, please");
    return "done";
  };
  const set = (key: string) => (ctx: ObjectContext) => ctx.set(key, "x");
  const sends = (handler: string) => (ctx: ObjectContext) => void send(ctx, { service: "Echo", handler, body: "x" });
  return {
    stateOrSend: broken(set("a"), sends("text")),
    otherKey: broken(set("a"), set("b")),
    otherTarget: broken(sends("text"), sends("upper")),
  };
};

// Gated fails until a gate of the probe is open.
export const Gated = (_name: string, version: string) => ({
  pass: async (ctx: Context, gate: string) => {
    const n = await ctx.run(() => probe.hit(`${gate}/step`));
    if (!(await probe.isOpen(gate))) throw new Error("the gate is shut");
    return `${version} ${n}`;
  },
});

interface Steps {
  probe: string;
  n: number;
  text: string;
  size: number;
}

export const Effects = (_name: string) => ({
  // steps runs n steps one after another; each counts itself.
  steps: async (ctx: Context, s: Steps) => {
    let sum = 0;
    for (let i = 0; i < s.n; i++) sum += await ctx.run(`step-${i}`, () => probe.hit(`${s.probe}/${i}`));
    return sum;
  },

  // parallel starts n steps at once and waits for all.
  parallel: async (ctx: Context, s: Steps) => {
    const steps = Array.from({ length: s.n }, (_, i) =>
      ctx.run(() =>
        probe.within(s.probe, async () => {
          await new Promise((resolve) => setTimeout(resolve, 50));
          await probe.hit(s.probe);
          return i * i;
        }),
      ),
    );
    return await restate.RestatePromise.all(steps);
  },

  // keeps draws a random number in a step, sleeps, and answers it; each drawing is noted.
  keeps: async (ctx: Context, s: Steps) => {
    await probe.hit(`${s.probe}/attempts`);
    const value = await ctx.run(async () => {
      const n = Math.floor(Math.random() * 2 ** 50);
      await probe.log(s.probe, String(n));
      return n;
    });
    await probe.hit(`${s.probe}/stored`); // a result is given to the handler once it is stored
    for (let i = 0; i < Math.max(1, s.n); i++) await ctx.sleep(300);
    return [value];
  },

  terminal: async (ctx: Context, s: Steps) => {
    await ctx.run(async () => {
      await probe.hit(s.probe);
      throw new restate.TerminalError(s.text, { errorCode: 451 });
    });
    return "no error";
  },

  // caught turns the terminal error of a step into a value.
  caught: async (ctx: Context, s: Steps) => {
    try {
      await ctx.run(() => {
        throw new restate.TerminalError(s.text, { errorCode: 451 });
      });
    } catch (e) {
      if (!(e instanceof restate.TerminalError)) throw e;
      await ctx.sleep(10);
      return `caught ${e.code} ${e.message}`;
    }
    return "no error";
  },

  // exhausted has a step that gives up after n attempts.
  exhausted: async (ctx: Context, s: Steps) => {
    const step = async () => {
      await probe.hit(s.probe);
      throw new Error(s.text);
    };
    await ctx.run("exhausted", step, { maxRetryAttempts: s.n, initialRetryInterval: 10, maxRetryInterval: 20 });
    return "no error";
  },

  // eventually has a step that works at its n-th attempt.
  eventually: async (ctx: Context, s: Steps) => {
    const step = async () => {
      const n = await probe.hit(s.probe);
      if (n < s.n) throw new Error(`attempt ${n} of a step`);
      return n;
    };
    return await ctx.run("eventually", step, { initialRetryInterval: 10, maxRetryInterval: 50 });
  },

  big: async (ctx: Context, s: Steps) => {
    const value = await ctx.run(() => "z".repeat(s.size));
    await ctx.sleep(10);
    return value.length;
  },

  // random answers values of the deterministic source, drawn again in each failing attempt.
  random: async (ctx: Context, s: Steps) => {
    const drawn = [ctx.rand.uuidv4(), String(ctx.rand.random())];
    await probe.log(s.probe, drawn.join(" "));
    if ((await probe.hit(s.probe)) < 3) throw new Error("again");
    return drawn;
  },

  // long writes a journal of n steps, goes down in the middle, and answers the sum.
  long: async (ctx: Context, s: Steps) => {
    await probe.hit(`${s.probe}/attempts`);
    let sum = 0;
    for (let i = 0; i < s.n; i++) {
      sum += await ctx.run(async () => {
        await probe.hit(s.probe);
        return i;
      });
      if (i === Math.floor(s.n / 2) && (await probe.hit(`${s.probe}/half`)) === 1) throw new Error("go down once in the middle");
    }
    await ctx.sleep(10);
    return sum;
  },

  // slowStep holds a step open until the gate opens; only the first attempt waits.
  slowStep: (ctx: Context, s: Steps) =>
    ctx.run(async () => {
      const n = await probe.hit(s.probe);
      if (n === 1) await probe.wait(ctx, s.probe);
      return n;
    }),
});
