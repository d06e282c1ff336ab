import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { conditionsOf, type JobFilter } from "../jobs/filter";
import { client, type Event, type Job, type Model, ServerError, take, type Usage } from "./client";

const MANY = 200;

export const whoami = queryOptions({
  queryKey: ["whoami"],
  queryFn: () => take(client.GET("/v1/whoami")),
  staleTime: Infinity,
});

/** metrics: those of steps that jobs are to tell. */
export function jobPages(filter: JobFilter, metrics: readonly string[] = []) {
  return infiniteQueryOptions({
    queryKey: ["jobs", filter, metrics],
    queryFn: ({ pageParam }) =>
      take(
        client.GET("/v1/jobs", {
          params: {
            query: {
              ...filter,
              where: conditionsOf(filter),
              metric: [...metrics],
              limit: 50,
              cursor: pageParam ?? undefined,
            },
          },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
}

export const jobWords = queryOptions({
  queryKey: ["job-words"],
  queryFn: () => take(client.GET("/v1/job-words")),
  staleTime: 60_000,
});

export function job(ref: string) {
  return queryOptions({
    queryKey: ["job", ref],
    queryFn: () =>
      take(client.GET("/v1/jobs/{ref}", { params: { path: { ref }, query: { depth: 1 } } })),
  });
}

export function jobEvents(id: string) {
  return queryOptions({
    queryKey: ["job-events", id],
    queryFn: () =>
      take(
        client.GET("/v1/jobs/{ref}/events", {
          params: { path: { ref: id }, query: { limit: MANY } },
        }),
      ) as Promise<{ items: Event[] }>,
  });
}

export function jobMetrics(id: string) {
  return queryOptions({
    queryKey: ["job-metrics", id],
    queryFn: () => take(client.GET("/v1/jobs/{ref}/metrics", { params: { path: { ref: id } } })),
  });
}

/** What a command used of its machine; null where nothing was measured. */
export function jobUsage(job: Job) {
  return queryOptions({
    // a running attempt is measured on, a later one is another
    queryKey: ["job-usage", job.id, job.attempt, job.state],
    enabled: job.type === "command" && job.attempt > 0,
    refetchInterval: job.state === "running" && 10_000,
    queryFn: async (): Promise<Usage | null> => {
      const path = { ref: job.id };
      try {
        return await take(client.GET("/v1/jobs/{ref}/usage", { params: { path } }));
      } catch (error) {
        if (error instanceof ServerError && error.status === 404) return null;
        throw error;
      }
    },
  });
}

export function jobSpec(id: string) {
  return queryOptions({
    queryKey: ["job-spec", id],
    queryFn: () =>
      take(
        client.GET("/v1/jobs/{ref}/spec", { params: { path: { ref: id } }, parseAs: "text" }),
      ) as Promise<string>,
    staleTime: Infinity,
  });
}

export const models = queryOptions({
  queryKey: ["models"],
  queryFn: () => take(client.GET("/v1/models", { params: { query: { limit: MANY } } })),
});

export function model(name: string) {
  return queryOptions({
    queryKey: ["model", name],
    queryFn: (): Promise<Model> =>
      take(client.GET("/v1/models/{name}", { params: { path: { name } } })),
  });
}

export function modelVersions(name: string) {
  return queryOptions({
    queryKey: ["model", name, "versions"],
    queryFn: () =>
      take(
        client.GET("/v1/models/{name}/versions", {
          params: { path: { name }, query: { limit: MANY } },
        }),
      ),
  });
}

export function modelHistory(name: string) {
  return queryOptions({
    queryKey: ["model", name, "history"],
    queryFn: () =>
      take(
        client.GET("/v1/models/{name}/history", {
          params: { path: { name }, query: { limit: MANY } },
        }),
      ),
  });
}

export const endpoints = queryOptions({
  queryKey: ["endpoints"],
  queryFn: () => take(client.GET("/v1/endpoints", { params: { query: { limit: MANY } } })),
});

export function endpoint(name: string) {
  return queryOptions({
    queryKey: ["endpoint", name],
    queryFn: () => take(client.GET("/v1/endpoints/{name}", { params: { path: { name } } })),
  });
}

export const datasets = queryOptions({
  queryKey: ["data"],
  queryFn: () => take(client.GET("/v1/data", { params: { query: { limit: MANY } } })),
});

export function dataVersions(name: string) {
  return queryOptions({
    queryKey: ["data", name],
    queryFn: () =>
      take(
        client.GET("/v1/data/{name}/versions", {
          params: { path: { name }, query: { limit: MANY } },
        }),
      ),
  });
}

/** Of a version that never changes: what is read once stays true. */
function ofDataVersion<T>(
  name: string,
  version: number,
  what: string,
  read: (path: { name: string; version: string }) => Promise<T>,
) {
  return queryOptions({
    queryKey: ["data-version", name, version, what],
    queryFn: () => read({ name, version: String(version) }),
    staleTime: Infinity,
  });
}

export function dataPreview(name: string, version: number) {
  return ofDataVersion(name, version, "preview", (path) =>
    take(
      client.GET("/v1/data/{name}/versions/{version}/preview", {
        params: { path, query: { rows: 100 } },
      }),
    ),
  );
}

export function dataProfile(name: string, version: number) {
  return ofDataVersion(name, version, "profile", (path) =>
    take(client.GET("/v1/data/{name}/versions/{version}/profile", { params: { path } })),
  );
}

export function dataDifference(name: string, version: number, base: number) {
  return ofDataVersion(name, version, `since ${base}`, (path) =>
    take(
      client.GET("/v1/data/{name}/versions/{version}/diff", {
        params: { path, query: { base: String(base) } },
      }),
    ),
  );
}

export function dataLineage(name: string, version: number) {
  return queryOptions({
    queryKey: ["lineage", "data", name, version],
    queryFn: () =>
      take(
        client.GET("/v1/data/{name}/versions/{version}/lineage", {
          params: { path: { name, version: String(version) } },
        }),
      ),
  });
}

export function modelLineage(name: string, version: number) {
  return queryOptions({
    queryKey: ["lineage", "model", name, version],
    queryFn: () =>
      take(
        client.GET("/v1/models/{name}/versions/{version}/lineage", {
          params: { path: { name, version: String(version) } },
        }),
      ),
  });
}

export const limits = queryOptions({
  queryKey: ["limits"],
  queryFn: () => take(client.GET("/v1/limits")),
  refetchInterval: 5000,
});

export const quotas = queryOptions({
  queryKey: ["quotas"],
  queryFn: () => take(client.GET("/v1/quotas")),
  refetchInterval: 5000,
});

export const components = queryOptions({
  queryKey: ["components"],
  queryFn: () => take(client.GET("/v1/components")),
});

export const queues = queryOptions({
  queryKey: ["queues"],
  queryFn: () => take(client.GET("/v1/queues")),
  refetchInterval: 5000,
});

export const workers = queryOptions({
  queryKey: ["workers"],
  queryFn: () => take(client.GET("/v1/workers", { params: { query: { limit: MANY } } })),
  refetchInterval: 10_000,
});

export const servers = queryOptions({
  queryKey: ["servers"],
  queryFn: () => take(client.GET("/v1/servers")),
  refetchInterval: 10_000,
});

export const doctor = queryOptions({
  queryKey: ["doctor"],
  queryFn: () => take(client.GET("/v1/doctor")),
});

export const tokens = queryOptions({
  queryKey: ["tokens"],
  queryFn: () => take(client.GET("/v1/tokens", { params: { query: { limit: MANY } } })),
});

export const auditLog = infiniteQueryOptions({
  queryKey: ["audit"],
  queryFn: ({ pageParam }) =>
    take(client.GET("/v1/audit", { params: { query: { limit: 50, cursor: pageParam } } })),
  initialPageParam: undefined as string | undefined,
  getNextPageParam: (page) => page.next_cursor,
});

export const projects = queryOptions({
  queryKey: ["projects"],
  queryFn: () => take(client.GET("/v1/projects")),
});

export const webhooks = queryOptions({
  queryKey: ["webhooks"],
  queryFn: () => take(client.GET("/v1/webhooks")),
});

export function deliveries(name: string) {
  return queryOptions({
    queryKey: ["webhooks", name, "deliveries"],
    queryFn: () =>
      take(
        client.GET("/v1/webhooks/{name}/deliveries", {
          params: { path: { name }, query: { limit: 50 } },
        }),
      ),
    refetchInterval: 5000,
  });
}

export const approvals = queryOptions({
  queryKey: ["approvals"],
  queryFn: () => take(client.GET("/v1/approvals", { params: { query: { limit: MANY } } })),
});

export const schedules = queryOptions({
  queryKey: ["schedules"],
  queryFn: () => take(client.GET("/v1/schedules", { params: { query: { limit: MANY } } })),
});

export function schedule(name: string) {
  return queryOptions({
    queryKey: ["schedule", name],
    queryFn: () => take(client.GET("/v1/schedules/{name}", { params: { path: { name } } })),
  });
}

export function firings(name: string) {
  return infiniteQueryOptions({
    queryKey: ["schedule", name, "firings"],
    queryFn: ({ pageParam }) =>
      take(
        client.GET("/v1/schedules/{name}/firings", {
          params: { path: { name }, query: { limit: 50, cursor: pageParam } },
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor,
  });
}

export function rollouts(name: string) {
  return queryOptions({
    queryKey: ["endpoint", name, "rollouts"],
    queryFn: () =>
      take(
        client.GET("/v1/endpoints/{name}/rollouts", {
          params: { path: { name }, query: { limit: 50 } },
        }),
      ),
  });
}

/** What an endpoint answered in the last `seconds`; read again every few of them. */
export function measurements(name: string, seconds: number) {
  return queryOptions({
    queryKey: ["endpoint", name, "measurements", seconds],
    queryFn: () =>
      take(
        client.GET("/v1/endpoints/{name}/measurements", {
          params: { path: { name }, query: { seconds } },
        }),
      ),
    refetchInterval: 5000,
  });
}

/** How far requests have moved from the training rows; looked at about once a minute. */
export function drift(name: string) {
  return queryOptions({
    queryKey: ["endpoint", name, "drift"],
    queryFn: () => take(client.GET("/v1/endpoints/{name}/drift", { params: { path: { name } } })),
    refetchInterval: 15_000,
  });
}

export const batchEndpoints = queryOptions({
  queryKey: ["batch-endpoints"],
  queryFn: () => take(client.GET("/v1/batch-endpoints", { params: { query: { limit: MANY } } })),
});

export function batchEndpoint(name: string) {
  return queryOptions({
    queryKey: ["batch-endpoint", name],
    queryFn: () => take(client.GET("/v1/batch-endpoints/{name}", { params: { path: { name } } })),
  });
}

export function invocations(name: string) {
  return queryOptions({
    queryKey: ["batch-endpoint", name, "jobs"],
    queryFn: () =>
      take(
        client.GET("/v1/batch-endpoints/{name}/jobs", {
          params: { path: { name }, query: { limit: 50 } },
        }),
      ),
    refetchInterval: 5000,
  });
}

/** A version of what an endpoint does, the newest where none is named; with its job. */
export function batchDeployment(name: string, deployment: string, version?: number) {
  return queryOptions({
    queryKey: ["batch-endpoint", name, deployment, version ?? "newest"],
    queryFn: () =>
      take(
        client.GET("/v1/batch-endpoints/{name}/deployments/{deployment}", {
          params: { path: { name, deployment }, query: { version } },
        }),
      ),
  });
}
