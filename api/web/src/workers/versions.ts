import type { ServerProcess, Worker } from "../api/client";

export const SERVERS: Record<string, string> = { api: "API", serve: "Model server" };

/** version -> who is of it, of what lives; more than one says that an upgrade is not finished. */
export function versions(workers: Worker[], servers: ServerProcess[]): Map<string, string[]> {
  const named = [
    ...workers
      .filter((worker) => worker.state !== "offline")
      .map((worker) => [worker.version, worker.name] as const),
    ...servers.map(
      (server) =>
        [server.version, `${SERVERS[server.kind] ?? server.kind} on ${server.host}`] as const,
    ),
  ].sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true }));
  const found = new Map<string, string[]>();
  for (const [version, name] of named) {
    found.set(version, [...(found.get(version) ?? []), name]);
  }
  return found;
}
