import { client, type PlanView } from "../api/client";

/** One thing that the server finds wrong. path: such as `jobs.prep.inputs.data`; line: 1-based. */
export interface Problem {
  path: string;
  message: string;
  line?: number | null;
  suggestion?: string | null;
}

/** What the server says of a job file: what it would make, or why not. */
export type Verdict = { plan: PlanView } | { problems: Problem[] };

/** Ask the server for its verdict; nothing is stored. Raises what fetch raises. */
export async function checkFile(text: string, signal?: AbortSignal): Promise<Verdict> {
  const { data, error, response } = await client.POST("/v1/jobs", {
    params: { query: { dry_run: true } },
    body: text as never,
    bodySerializer: (body: unknown) => body as string,
    headers: { "content-type": mediaTypeOf(text) },
    signal,
  });
  if (response.ok) return { plan: data as unknown as PlanView };
  const told = error as { detail?: string; problems?: Problem[] } | undefined;
  if (told?.problems?.length) return { problems: told.problems };
  return {
    problems: [{ path: "", message: told?.detail ?? `The server says ${response.status}.` }],
  };
}

/** The media type of a job file, by how it begins. */
export function mediaTypeOf(text: string): "application/json" | "application/yaml" {
  return text.trimStart().startsWith("{") ? "application/json" : "application/yaml";
}

/** Names of the steps in which problems lie. */
export function stepsOf(problems: readonly Problem[]): Set<string> {
  return new Set(problems.flatMap(({ path }) => /^jobs\.([^.]+)/.exec(path)?.[1] ?? []));
}
