// Endpoints: the services of the suite behind a port of their own.
import * as http from "node:http";
import * as http2 from "node:http2";
import type { AddressInfo, Socket } from "node:net";

import * as restate from "@restatedev/restate-sdk/node";

import { endOfAttempt } from "./probe.ts";
import { kinds, type Handler } from "./services/kinds.ts";

interface Spec {
  addr: string;
  mode: "bidi" | "request-response" | "http1";
  versions: { Min: number; Max: number };
  services: { kind: string; name: string; args: string[] | null }[];
  manifest: { services: Manifest[] };
}

// What discovery shows of the same service of the Go SDK.
interface Manifest extends Options {
  name: string;
  ty: "SERVICE" | "VIRTUAL_OBJECT" | "WORKFLOW";
  handlers: (Options & { name: string; ty?: "EXCLUSIVE" | "SHARED" | "WORKFLOW"; input?: Payload; output?: Payload })[];
}

interface Payload {
  contentType?: string;
  jsonSchema?: object;
}

interface Options {
  documentation?: string;
  metadata?: Record<string, string>;
  inactivityTimeout?: number;
  abortTimeout?: number;
  journalRetention?: number;
  idempotencyRetention?: number;
  ingressPrivate?: boolean;
  enableLazyState?: boolean;
  retryPolicyInitialInterval?: number;
  retryPolicyMaxInterval?: number;
  retryPolicyExponentiationFactor?: number;
  retryPolicyMaxAttempts?: number;
  retryPolicyOnMaxAttempts?: "PAUSE" | "KILL";
}

interface Endpoint {
  close: () => Promise<void>;
  paths: string[];
  headers: Record<string, string>[];
}

const endpoints = new Map<string, Endpoint>();

// serve serves the services and answers the address.
export async function serve(spec: Spec): Promise<{ addr: string }> {
  const handler = restate.createEndpointHandler({
    services: spec.services.map((s) => define(s, spec.manifest)),
    bidirectional: spec.mode === "bidi",
    logger: () => {},
  });
  const endpoint: Endpoint = { close: async () => {}, paths: [], headers: [] };
  const listener = (request: any, response: any) => {
    const url: string = request.url ?? "";
    if (endpoint.paths.length < 5000) {
      endpoint.paths.push(new URL(url, "http://x").pathname);
      endpoint.headers.push({ ...request.headers });
    }
    if (url.endsWith("/discover")) showVersions(spec.versions, response);
    handler(request, response);
  };
  const server = spec.mode === "http1" ? http.createServer(listener) : http2.createServer(listener);
  const open = new Set<Socket | http2.ServerHttp2Session>();
  const remember = (connection: any) => {
    open.add(connection);
    connection.on("close", () => open.delete(connection));
  };
  server.on(spec.mode === "http1" ? "connection" : "session", remember);
  const at = spec.addr.lastIndexOf(":");
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(Number(spec.addr.slice(at + 1)), spec.addr.slice(0, at), resolve);
  });
  const { address, port } = server.address() as AddressInfo;
  endpoint.close = () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      for (const connection of open) connection.destroy();
    });
  endpoints.set(`${address}:${port}`, endpoint);
  return { addr: `${address}:${port}` };
}

// closeEndpoint ends an endpoint at once.
export async function closeEndpoint({ addr }: { addr: string }) {
  const endpoint = endpoints.get(addr);
  if (endpoint === undefined) throw new Error(`nothing is served at ${addr}`);
  endpoints.delete(addr);
  await endpoint.close();
}

// requestsOf answers what was asked of an endpoint so far.
export async function requestsOf({ addr }: { addr: string }) {
  const endpoint = endpoints.get(addr);
  if (endpoint === undefined) throw new Error(`nothing is served at ${addr}`);
  const { paths, headers } = endpoint;
  return { paths, headers: headers.map((h) => Object.fromEntries(Object.entries(h).filter(([k]) => !k.startsWith(":")))) };
}

// showVersions lets discovery show the range of protocol versions that the run asks for.
function showVersions(versions: { Min: number; Max: number }, response: any) {
  const write = response.write.bind(response);
  response.write = (chunk: Uint8Array, done: (error?: Error) => void) => {
    const doc = JSON.parse(new TextDecoder().decode(chunk));
    if (doc.services !== undefined) {
      doc.minProtocolVersion = versions.Min;
      doc.maxProtocolVersion = versions.Max;
    }
    return write(JSON.stringify(doc), done);
  };
}

// define makes a service of a kind: the code is ours, its names, types and options are those of the
// manifest, so that a case finds the same service as with the Go SDK.
function define({ kind, name, args }: Spec["services"][number], manifest: Spec["manifest"]) {
  const make = kinds[kind];
  const shown = manifest.services.find((s) => s.name === name);
  if (make === undefined || shown === undefined) throw new Error(`no kind ${kind} of service ${name}`);
  const code = make(name, ...(args ?? []));
  const missing = shown.handlers.filter((h) => code[h.name] === undefined).map((h) => h.name);
  const extra = Object.keys(code).filter((h) => !shown.handlers.some((s) => s.name === h));
  if (missing.length + extra.length > 0) throw new Error(`${kind} lacks the handlers [${missing}] and has [${extra}] beside them`);

  const handlers: Record<string, any> = {};
  for (const h of shown.handlers) handlers[h.name] = wrap(shown.ty, h, code[h.name]);
  const definition: any = {
    name,
    handlers,
    description: shown.documentation || undefined,
    metadata: shown.metadata,
    options: { ...options(shown), hooks: [endOfAttempt] },
  };
  switch (shown.ty) {
    case "SERVICE":
      return restate.service(definition);
    case "VIRTUAL_OBJECT":
      return restate.object(definition);
    case "WORKFLOW":
      return restate.workflow(definition);
  }
}

function wrap(service: Manifest["ty"], h: Manifest["handlers"][number], fn: Handler) {
  const opts: any = {
    ...options(h),
    description: h.documentation || undefined,
    metadata: h.metadata,
    input: serdeOf(h.input),
    output: serdeOf(h.output),
  };
  if (service === "SERVICE") return restate.handlers.handler(opts, fn);
  if (h.ty === "WORKFLOW") return restate.handlers.workflow.workflow(opts, fn);
  if (service === "WORKFLOW") return restate.handlers.workflow.shared(opts, fn);
  return h.ty === "SHARED" ? restate.handlers.object.shared(opts, fn) : restate.handlers.object.exclusive(opts, fn);
}

function serdeOf(payload?: Payload): restate.Serde<any> {
  switch (payload?.contentType) {
    case undefined:
      return restate.serde.empty;
    case "application/octet-stream":
      return restate.serde.binary;
    case "application/json":
      return payload?.jsonSchema === undefined ? restate.serde.json : new restate.serde.JsonSerde(payload.jsonSchema);
    default:
      throw new Error(`no serde for ${payload?.contentType}`);
  }
}

function options(o: Options) {
  const retryPolicy = {
    initialInterval: o.retryPolicyInitialInterval,
    maxInterval: o.retryPolicyMaxInterval,
    exponentiationFactor: o.retryPolicyExponentiationFactor,
    maxAttempts: o.retryPolicyMaxAttempts,
    onMaxAttempts: o.retryPolicyOnMaxAttempts?.toLowerCase(),
  };
  return {
    inactivityTimeout: o.inactivityTimeout,
    abortTimeout: o.abortTimeout,
    journalRetention: o.journalRetention,
    idempotencyRetention: o.idempotencyRetention,
    ingressPrivate: o.ingressPrivate,
    enableLazyState: o.enableLazyState,
    retryPolicy: Object.values(retryPolicy).some((v) => v !== undefined) ? retryPolicy : undefined,
  };
}
