import createClient from "openapi-fetch";
import { address, root } from "./root";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];
export type Job = Schemas["Job"];
export type State = Job["state"];
export type Event = Schemas["Event"];
export type LogChunk = Schemas["LogChunk"];
export type Limit = Schemas["LimitView"];
export type Metric = Schemas["Metric"];
export type Usage = Schemas["Usage"];
export type Output = Schemas["Output"];
export type Model = Schemas["Model"];
export type ModelVersion = Schemas["ModelVersion"];
export type AliasMove = Schemas["AliasMove"];
export type Endpoint = Schemas["Endpoint"];
export type ColumnProfile = Schemas["ColumnProfileView"];
export type DataDifference = Schemas["DataDifference"];
export type DataVersion = Schemas["DataVersion"];
export type Queue = Schemas["Queue"];
export type SweepSummary = Schemas["SweepSummary"];
export type Token = Schemas["Token"];
export type Trial = Schemas["Trial"];
export type ServerProcess = Schemas["ServerProcess"];
export type Worker = Schemas["Worker"];
export type Approval = Schemas["ApprovalView"];
export type BatchDeployment = Schemas["BatchDeploymentView"];
export type BatchEndpoint = Schemas["BatchEndpointView"];
export type Delivery = Schemas["DeliveryView"];
export type Firing = Schemas["Firing"];
export type Rollout = Schemas["Rollout"];
export type Schedule = Schemas["ScheduleView"];
export type DriftReport = Schemas["DriftReport"];
export type Drifted = Schemas["Drifted"];
export type Traffic = Schemas["Traffic"];
export type Webhook = Schemas["WebhookView"];
export type Component = Schemas["Component"];
export type ComponentPort = Schemas["ComponentPort"];
export type PlanView = Schemas["PlanView"];

/** RFC 9457, as every refusal is told. */
interface Problem {
  detail?: string;
  code?: string;
  hint?: string | null;
}

/** What the server refused, or that it could not be asked (status 0). */
export class ServerError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly hint?: string | null,
    readonly code?: string,
  ) {
    super(message);
  }
}

export const client = createClient<paths>({ baseUrl: root });

client.use({
  onResponse({ response }) {
    if (response.status === 401) {
      const here = location.pathname.slice(root.length) + location.search;
      location.assign(address(`/login?next=${encodeURIComponent(here)}`));
    }
  },
});

/** The answer's data. Raises ServerError. */
export async function take<T>(
  answer: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<T> {
  let found;
  try {
    found = await answer;
  } catch {
    throw new ServerError("The server does not answer.", 0, "This page goes on once it does.");
  }
  if (found.response.ok) return found.data as T;
  const problem = found.error as Problem | undefined;
  throw new ServerError(
    problem?.detail ?? `The server answered ${found.response.status}.`,
    found.response.status,
    problem?.hint,
    problem?.code,
  );
}
