// The kinds of services, under the names of the funcs that make the same ones in Go.
import { Documented, Echo, Proxy, Text } from "./basic.ts";
import { Effects, Failing, Gated, NonDet } from "./failing.ts";
import { Interpreter } from "./interpreter.ts";
import { Counter, List, Map } from "./state.ts";
import { Awakeables, Blocker, Completer, Flow, Timers, Versioned } from "./waiting.ts";

// A handler gets a context of the kind that its service type has.
export type Handler = (ctx: any, input: any) => Promise<unknown>;

export const kinds: Record<string, (name: string, ...args: string[]) => Record<string, Handler>> = {
  Awakeables,
  Blocker,
  Completer,
  Counter,
  Documented,
  Echo,
  Effects,
  Failing,
  Flow,
  Gated,
  Interpreter,
  List,
  Map,
  NonDet,
  Proxy,
  Text,
  Timers,
  Versioned,
};
