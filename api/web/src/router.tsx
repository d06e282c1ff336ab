import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
} from "@tanstack/react-router";
import { root } from "./api/root";
import { filterOf, type JobFilter } from "./jobs/filter";
import { type JobSearch, jobSearchOf } from "./jobs/search";
import { Broken } from "./parts/page";
import { NotFound, Shell } from "./shell/Shell";

const rootRoute = createRootRouteWithContext<{ queries: QueryClient }>()({
  component: Shell,
  notFoundComponent: NotFound,
});
const under = () => rootRoute;

const overview = createRoute({
  getParentRoute: under,
  path: "/",
  component: lazyRouteComponent(() => import("./overview/OverviewPage")),
});
const jobs = createRoute({
  getParentRoute: under,
  path: "/jobs",
  validateSearch: (search): JobFilter => filterOf(search),
  component: lazyRouteComponent(() => import("./jobs/JobsPage")),
});
const job = createRoute({
  getParentRoute: under,
  path: "/jobs/$ref",
  validateSearch: (search): JobSearch => jobSearchOf(search),
  component: lazyRouteComponent(() => import("./jobs/JobPage")),
});
const models = createRoute({
  getParentRoute: under,
  path: "/models",
  component: lazyRouteComponent(() => import("./models/ModelsPage")),
});
const model = createRoute({
  getParentRoute: under,
  path: "/models/$name",
  validateSearch: (search): { metric?: string; version?: number } => ({
    metric: search.metric ? String(search.metric) : undefined,
    version: Number(search.version) || undefined,
  }),
  component: lazyRouteComponent(() => import("./models/ModelPage")),
});
const endpoints = createRoute({
  getParentRoute: under,
  path: "/endpoints",
  component: lazyRouteComponent(() => import("./endpoints/EndpointsPage")),
});
const endpoint = createRoute({
  getParentRoute: under,
  path: "/endpoints/$name",
  component: lazyRouteComponent(() => import("./endpoints/EndpointPage")),
});
const data = createRoute({
  getParentRoute: under,
  path: "/data",
  component: lazyRouteComponent(() => import("./data/DataPage")),
});
const dataset = createRoute({
  getParentRoute: under,
  path: "/data/$name",
  component: lazyRouteComponent(() => import("./data/DatasetPage")),
});
const workers = createRoute({
  getParentRoute: under,
  path: "/workers",
  component: lazyRouteComponent(() => import("./workers/WorkersPage")),
});

const settings = createRoute({
  getParentRoute: under,
  path: "/settings",
  component: lazyRouteComponent(() => import("./settings/SettingsPage")),
});

export function makeRouter(queries: QueryClient) {
  return createRouter({
    routeTree: rootRoute.addChildren([
      overview,
      jobs,
      job,
      models,
      model,
      endpoints,
      endpoint,
      data,
      dataset,
      workers,
      settings,
    ]),
    context: { queries },
    basepath: root || "/",
    defaultErrorComponent: Broken,
    defaultPreload: "intent",
    scrollRestoration: true,
  });
}
