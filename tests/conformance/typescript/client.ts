// Cases of the suite that run here, through the TypeScript ingress client. The runner knows them by name.
import * as assert from "node:assert/strict";
import * as clients from "@restatedev/restate-sdk-clients";
import { rpc, HttpCallError } from "@restatedev/restate-sdk-clients";
import { serde } from "@restatedev/restate-sdk";

const [Echo, Counter, List, Awakeables, Flow, Failing, Hidden] = ["Echo", "Counter", "List", "Awakeables", "Flow", "Failing", "Hidden"].map(
  (name): any => ({ name }),
);

// Run is what a case is given: the client, and a key that no other case uses.
interface Run {
  ingress: any;
  key: string;
}

const empty = { input: serde.empty as any };

// failure is the error that a call must end with.
async function failure(call: PromiseLike<unknown>): Promise<HttpCallError> {
  try {
    const value = await call;
    assert.fail(`it answers ${JSON.stringify(value)}`);
  } catch (e) {
    if (e instanceof HttpCallError) return e;
    throw e;
  }
}

// eventually asks until there is an answer; the runner limits the time.
async function eventually<T>(ask: () => PromiseLike<T | undefined>): Promise<T> {
  for (;;) {
    const value = await ask();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const awakeableOf = ({ ingress, key }: Run): Promise<string> =>
  eventually(async () => (await ingress.objectClient(Awakeables, key).awakeable(rpc.opts(empty))) || undefined);

const cases: Record<string, (run: Run) => Promise<void>> = {
  call: async ({ ingress, key }) => {
    const value = { a: [1, "zwei", null, true], ü: "☃" };
    assert.deepEqual(await ingress.serviceClient(Echo).json(value), value);
    assert.deepEqual(await ingress.objectClient(Counter, key).add(5), { old: 0, new: 5 });
    assert.deepEqual(await ingress.call({ service: "Counter", handler: "add", key, parameter: 2, opts: rpc.opts({}) }), { old: 5, new: 7 });
    assert.equal(await ingress.objectClient(Counter, key).get(rpc.opts(empty)), 7);
  },

  "no-input-no-output": async ({ ingress }) => {
    assert.equal(await ingress.serviceClient(Echo).hello(rpc.opts(empty)), "hello");
    assert.equal(await ingress.serviceClient(Echo).nothing(rpc.opts({ ...empty, output: serde.empty as any })), undefined);
  },

  "headers-and-bytes": async ({ ingress }) => {
    const seen = await ingress.serviceClient(Echo).headers(rpc.opts({ ...empty, headers: { "x-from": "typescript" } }));
    assert.equal(seen["x-from"], "typescript");
    const bytes = Uint8Array.from({ length: 2048 }, (_, i) => (i * 7) % 256);
    const back = await ingress.serviceClient(Echo).raw(bytes, rpc.opts({ input: serde.binary, output: serde.binary } as any));
    assert.deepEqual(back, bytes);
  },

  "keys-escaped": async ({ ingress, key }) => {
    for (const k of [`${key}/b`, `${key} b`, `${key}%`, `${key}ß☃`, `${key}?b#c`]) {
      assert.equal(await ingress.objectClient(List, k).append("x"), 1);
      assert.deepEqual(await ingress.objectClient(List, k).get(rpc.opts(empty)), ["x"]);
    }
  },

  "concurrent-and-large": async ({ ingress }) => {
    const texts = Array.from({ length: 100 }, (_, i) => `n${i}`);
    assert.deepEqual(await Promise.all(texts.map((s) => ingress.serviceClient(Echo).text(s))), texts);
    const long = "x".repeat(2 << 20);
    assert.equal(await ingress.serviceClient(Echo).text(long), long);
  },

  send: async ({ ingress, key }) => {
    const list = ingress.objectSendClient(List, key);
    for (const s of ["a", "b", "c"]) {
      const sent = await list.append(s);
      assert.equal(sent.status, "Accepted");
      assert.match(sent.invocationId, /^inv_/);
    }
    await ingress.send({ service: "List", handler: "append", key, parameter: "d", opts: clients.rpc.sendOpts({}) });
    // An exclusive call comes after what was sent before it.
    assert.equal(await ingress.objectClient(List, key).append("e"), 5);
    assert.deepEqual(await ingress.objectClient(List, key).get(rpc.opts(empty)), ["a", "b", "c", "d", "e"]);
  },

  "send-delayed": async ({ ingress, key }) => {
    const begin = Date.now();
    const opts = rpc.sendOpts({ delay: { milliseconds: 700 }, idempotencyKey: key });
    const sent = await ingress.serviceSendClient(Echo).text("later", opts);
    assert.equal(sent.status, "Accepted");
    assert.equal(await ingress.result(sent), "later");
    assert.ok(Date.now() - begin >= 690, `it took ${Date.now() - begin} ms`);
  },

  "idempotent-call": async ({ ingress, key }) => {
    const opts = rpc.opts({ idempotencyKey: key });
    assert.deepEqual(await ingress.objectClient(Counter, key).add(3, opts), { old: 0, new: 3 });
    assert.deepEqual(await ingress.objectClient(Counter, key).add(4, opts), { old: 0, new: 3 });
    assert.equal(await ingress.objectClient(Counter, key).get(rpc.opts(empty)), 3);
  },

  "idempotent-send-and-result": async ({ ingress, key }) => {
    const opts = rpc.sendOpts({ idempotencyKey: key });
    const first = await ingress.objectSendClient(Counter, key).add(3, opts);
    const second = await ingress.objectSendClient(Counter, key).add(3, opts);
    assert.deepEqual([first.status, second.status], ["Accepted", "PreviouslyAccepted"]);
    assert.equal(first.invocationId, second.invocationId);
    for (const sent of [first, second]) assert.deepEqual(await ingress.result(sent), { old: 0, new: 3 });
  },

  "client-gives-up": async ({ ingress, key }) => {
    const wait = (timeout?: number) => ingress.objectClient(Awakeables, key).wait(rpc.opts({ ...empty, idempotencyKey: key, timeout }));
    await assert.rejects(wait(300), { name: "TimeoutError" });
    const again = wait();
    await ingress.resolveAwakeable(await awakeableOf({ ingress, key }), "still there");
    assert.equal(await again, "still there");
  },

  errors: async ({ ingress }) => {
    const e = await failure(ingress.serviceClient(Failing).terminal({ message: "no way", code: 418 }));
    assert.equal(e.status, 418);
    assert.equal(JSON.parse(e.responseText).message, "no way");
    const plain = await failure(ingress.serviceClient(Failing).terminal({ message: "plain" }));
    assert.equal(plain.status, 500);
    const unknown = await failure(ingress.serviceClient({ name: "NoSuchService" }).x(1));
    assert.equal(unknown.status, 404);
    assert.match(JSON.parse(unknown.responseText).message, /NoSuchService/);
    assert.equal((await failure(ingress.serviceClient(Echo).noSuchHandler(1))).status, 404);
    assert.equal((await failure(ingress.serviceClient(Hidden).text("x"))).status, 400);
    assert.equal((await failure(ingress.serviceClient(Echo).raw("x"))).status, 400); // JSON for a handler that takes bytes
  },

  "result-of-a-failure": async ({ ingress, key }) => {
    const sent = await ingress.serviceSendClient(Failing).terminal({ message: "over", code: 410 }, rpc.sendOpts({ idempotencyKey: key }));
    const e = await failure(ingress.result(sent));
    assert.equal(e.status, 410);
    assert.equal(JSON.parse(e.responseText).message, "over");
  },

  "awakeable-resolve": async ({ ingress, key }) => {
    const sent = await ingress.objectSendClient(Awakeables, key).wait(rpc.sendOpts({ ...empty, idempotencyKey: key }));
    await ingress.resolveAwakeable(await awakeableOf({ ingress, key }), "woken");
    assert.equal(await ingress.result(sent), "woken");
  },

  "awakeable-resolve-bytes": async ({ ingress, key }) => {
    const raw = ingress.objectClient(Awakeables, key).waitRaw(rpc.opts({ ...empty, output: serde.binary } as any));
    const bytes = Uint8Array.from([0, 255, 1, 254, 34, 10]);
    await ingress.resolveAwakeable(await awakeableOf({ ingress, key }), bytes, serde.binary);
    assert.deepEqual(await raw, bytes);
  },

  "awakeable-reject": async ({ ingress, key }) => {
    const sent = await ingress.objectSendClient(Awakeables, key).wait(rpc.sendOpts({ ...empty, idempotencyKey: key }));
    await ingress.rejectAwakeable(await awakeableOf({ ingress, key }), "not today");
    const e = await failure(ingress.result(sent));
    assert.equal(e.status, 500);
    assert.equal(JSON.parse(e.responseText).message, "not today");
  },

  "awakeable-bad-id": async ({ ingress }) => {
    assert.equal((await failure(ingress.resolveAwakeable("prom_1nonsense", "x"))).status, 400);
    assert.equal((await failure(ingress.rejectAwakeable("prom_1nonsense", "x"))).status, 400);
  },

  "workflow-submit-and-attach": async ({ ingress, key }) => {
    const flow = ingress.workflowClient(Flow, key);
    const submission = await flow.workflowSubmit({ text: "a" });
    assert.equal(submission.status, "Accepted");
    assert.equal(await flow.workflowAttach(), "done a");
    assert.equal(await ingress.result(submission), "done a");
    assert.deepEqual(await flow.workflowOutput(), { ready: true, result: "done a" });
    const again = await flow.workflowSubmit({ text: "b" });
    assert.equal(again.status, "PreviouslyAccepted");
    assert.equal(again.invocationId, submission.invocationId);
    assert.equal((await failure(ingress.call({ service: "Flow", handler: "run", key, parameter: { text: "c" } as any }))).status, 409);
  },

  "workflow-submit-delayed": async ({ ingress, key }) => {
    const begin = Date.now();
    const flow = ingress.workflowClient(Flow, key);
    await flow.workflowSubmit({ text: "a" }, rpc.sendOpts({ delay: 500 }));
    assert.equal(await flow.workflowAttach(), "done a");
    assert.ok(Date.now() - begin >= 490, `it took ${Date.now() - begin} ms`);
  },

  "workflow-output": async ({ ingress, key }) => {
    const flow = ingress.workflowClient(Flow, key);
    assert.equal((await failure(flow.workflowOutput())).status, 404);
    await flow.workflowSubmit({ text: "a", waitFor: "go" });
    assert.equal((await flow.workflowOutput()).ready, false);
    await flow.resolve({ name: "go", value: "v" }, rpc.opts({ output: serde.empty as any }));
    assert.equal(await flow.workflowAttach(), "a+v");
    assert.deepEqual(await flow.workflowOutput(), { ready: true, result: "a+v" });
    assert.equal(await flow.text(rpc.opts(empty)), "a");
  },

  "workflow-failure": async ({ ingress, key }) => {
    const flow = ingress.workflowClient(Flow, key);
    const submission = await flow.workflowSubmit({ text: "a", fail: "broken" });
    for (const call of [() => flow.workflowAttach(), () => flow.workflowOutput(), () => ingress.result(submission)]) {
      const e = await failure(call());
      assert.equal(e.status, 422);
      assert.equal(JSON.parse(e.responseText).message, "broken");
    }
  },
};

// runCase runs a case and answers what went wrong, if something did.
export async function runCase(input: { case: string; ingress: string; args: { key: string } }): Promise<{ error?: string }> {
  const run = cases[input.case];
  if (run === undefined) throw new Error(`no case ${input.case}`);
  try {
    await run({ ingress: clients.connect({ url: input.ingress }), key: input.args.key });
    return {};
  } catch (e) {
    return { error: e instanceof Error ? `${e.name}: ${e.message}` : String(e) };
  }
}
