import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
} from "@tanstack/react-router";
import { root } from "./api/root";
import { type DataSearch, dataSearchOf } from "./data/search";
import { type DesignerSearch, designerSearchOf } from "./designer/search";
import { type JobListSearch, jobListSearchOf } from "./jobs/filter";
import { type JobSearch, jobSearchOf } from "./jobs/search";
import { settingsSearchOf } from "./settings/search";
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
  validateSearch: (search): JobListSearch => jobListSearchOf(search),
  component: lazyRouteComponent(() => import("./jobs/JobsPage")),
});
const job = createRoute({
  getParentRoute: under,
  path: "/jobs/$ref",
  validateSearch: (search): JobSearch => jobSearchOf(search),
  component: lazyRouteComponent(() => import("./jobs/JobPage")),
});
const compare = createRoute({
  getParentRoute: under,
  path: "/compare",
  validateSearch: (search): { jobs?: string; all?: true } => ({
    jobs: search.jobs ? String(search.jobs) : undefined,
    all: search.all === true ? true : undefined,
  }),
  component: lazyRouteComponent(() => import("./jobs/ComparePage")),
});
const designer = createRoute({
  getParentRoute: under,
  path: "/designer",
  validateSearch: (search): DesignerSearch => designerSearchOf(search),
  component: lazyRouteComponent(() => import("./designer/DesignerPage")),
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
const batchEndpoint = createRoute({
  getParentRoute: under,
  path: "/batch-endpoints/$name",
  component: lazyRouteComponent(() => import("./batch/BatchEndpointPage")),
});
const approvals = createRoute({
  getParentRoute: under,
  path: "/approvals",
  component: lazyRouteComponent(() => import("./approvals/ApprovalsPage")),
});
const schedules = createRoute({
  getParentRoute: under,
  path: "/schedules",
  component: lazyRouteComponent(() => import("./schedules/SchedulesPage")),
});
const schedule = createRoute({
  getParentRoute: under,
  path: "/schedules/$name",
  component: lazyRouteComponent(() => import("./schedules/SchedulePage")),
});
const scheduleEditor = createRoute({
  getParentRoute: under,
  path: "/schedule-editor",
  // name: a schedule to change; from: a job whose file a new one begins with
  validateSearch: (search): { name?: string; from?: string } => ({
    name: search.name ? String(search.name) : undefined,
    from: search.from ? String(search.from) : undefined,
  }),
  component: lazyRouteComponent(() => import("./schedules/ScheduleEditor")),
});
const data = createRoute({
  getParentRoute: under,
  path: "/data",
  component: lazyRouteComponent(() => import("./data/DataPage")),
});
const dataset = createRoute({
  getParentRoute: under,
  path: "/data/$name",
  validateSearch: (search): DataSearch => dataSearchOf(search),
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
  validateSearch: settingsSearchOf,
  component: lazyRouteComponent(() => import("./settings/SettingsPage")),
});

export function makeRouter(queries: QueryClient) {
  return createRouter({
    routeTree: rootRoute.addChildren([
      overview,
      jobs,
      job,
      compare,
      designer,
      models,
      model,
      endpoints,
      endpoint,
      batchEndpoint,
      approvals,
      schedules,
      schedule,
      scheduleEditor,
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
