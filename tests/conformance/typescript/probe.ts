// The probe of the runner: memory outside of the durable world, in which services note what happened.
import * as http from "node:http";

import type { Context, Hooks, Request } from "@restatedev/restate-sdk";

let base = "";
const agent = new http.Agent({ keepAlive: true });

export function connectProbe(url: string) {
  base = url;
}

function ask(operation: string, key: string, line = "", signal?: AbortSignal): Promise<any> {
  return new Promise((resolve, reject) => {
    const request = http.request(`${base}/${operation}`, { method: "POST", agent, signal }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (body += chunk));
      response.on("error", reject);
      response.on("end", () => {
        if (response.statusCode === 200) resolve(JSON.parse(body).value);
        else reject(new Error(`probe ${operation}: ${response.statusCode} ${body}`));
      });
    });
    request.on("error", reject);
    request.end(JSON.stringify({ key, line }));
  });
}

// What is left to be done when an attempt ends, and what of it is under way.
const atEnd = new WeakMap<Request, (() => void)[]>();
const leaving = new Set<Promise<unknown>>();

// endOfAttempt does what enter has left to do. An attempt that suspends never comes back from its
// await, so that a finally in the handler would not run.
export function endOfAttempt({ request }: { request: Request }): Hooks {
  return {
    interceptor: {
      handler: async (next) => {
        try {
          await next();
        } finally {
          for (const leave of atEnd.get(request) ?? []) leave();
        }
      },
    },
  };
}

export const probe = {
  hit: (key: string): Promise<number> => ask("hit", key),
  hits: (key: string): Promise<number> => ask("hits", key),
  isOpen: (key: string): Promise<boolean> => ask("isOpen", key),
  log: (key: string, line: string): Promise<void> => ask("log", key, line),

  // wait waits until the gate opens; it fails when the attempt ends before.
  wait: (ctx: Context, key: string): Promise<void> => ask("wait", key, "", ctx.request().attemptCompletedSignal),

  // enter notes that one more is inside until the attempt ends, and never overtakes one that leaves.
  enter: async (ctx: Context, key: string): Promise<void> => {
    await Promise.all(leaving);
    await ask("enter", key);
    const left = () => {
      const leave = ask("leave", key).finally(() => leaving.delete(leave));
      leaving.add(leave);
    };
    const request = ctx.request();
    atEnd.set(request, [...(atEnd.get(request) ?? []), left]);
  },

  // within runs an action inside.
  within: async <T>(key: string, action: () => Promise<T>): Promise<T> => {
    await ask("enter", key);
    try {
      return await action();
    } finally {
      await ask("leave", key);
    }
  },
};
