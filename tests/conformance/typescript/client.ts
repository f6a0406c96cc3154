export async function runCase(_: unknown): Promise<unknown> {
  throw new Error("not yet");
}
