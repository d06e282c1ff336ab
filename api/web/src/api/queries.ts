import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import type { JobFilter } from "../jobs/filter";
import { client, type Event, type Model, take } from "./client";

const MANY = 200;

export const whoami = queryOptions({
  queryKey: ["whoami"],
  queryFn: () => take(client.GET("/v1/whoami")),
  staleTime: Infinity,
});

export function jobPages(filter: JobFilter) {
  return infiniteQueryOptions({
    queryKey: ["jobs", filter],
    queryFn: ({ pageParam }) =>
      take(
        client.GET("/v1/jobs", {
          params: { query: { ...filter, limit: 50, cursor: pageParam ?? undefined } },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
}

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

export const doctor = queryOptions({
  queryKey: ["doctor"],
  queryFn: () => take(client.GET("/v1/doctor")),
});

export const tokens = queryOptions({
  queryKey: ["tokens"],
  queryFn: () => take(client.GET("/v1/tokens", { params: { query: { limit: MANY } } })),
});

export const auditLog = queryOptions({
  queryKey: ["audit"],
  queryFn: () => take(client.GET("/v1/audit", { params: { query: { limit: MANY } } })),
});
