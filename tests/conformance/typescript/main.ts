// The suite's services and clients with the unmodified TypeScript SDK. Node 22 runs this file as it is.
//
//   node main.ts PROBE
//
// PROBE is the URL of the runner's probe. The first line of output is the URL where the runner says
// what to do; the program ends with its standard input.
import * as http from "node:http";
import type { AddressInfo } from "node:net";

import { runCase } from "./client.ts";
import { connectProbe } from "./probe.ts";
import { closeEndpoint, requestsOf, serve } from "./serve.ts";

const commands: Record<string, (input: any) => Promise<unknown>> = {
  serve,
  close: closeEndpoint,
  requests: requestsOf,
  client: runCase,
};

async function answer(request: http.IncomingMessage): Promise<unknown> {
  const command = commands[(request.url ?? "").slice(1)];
  if (command === undefined) throw new Error(`no command ${request.url}`);
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) body += chunk;
  return await command(JSON.parse(body));
}

connectProbe(process.argv[2]);
process.stdin.on("end", () => process.exit(0)).resume();

const server = http.createServer((request, response) => {
  answer(request).then(
    (value) => response.end(JSON.stringify(value ?? {})),
    (error) => {
      response.statusCode = 500;
      response.end(error instanceof Error ? (error.stack ?? error.message) : String(error));
    },
  );
});
server.keepAliveTimeout = 0; // the runner uses a connection again whenever it likes
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
