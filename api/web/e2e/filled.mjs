// Something on every page, for pictures and for axe; and the addresses of all pages.
const json = "application/json";

const SWEEP = `
type: pipeline
display_name: tune
jobs:
  prep:
    component: mlq:preprocess
    inputs: {data: "mlq:penguins@latest", target: sex}
  search:
    type: sweep
    trial: mlq:train
    inputs:
      data: "\${{parent.jobs.prep.outputs.train}}"
      recipe: "\${{parent.jobs.prep.outputs.recipe}}"
      estimator: sklearn.linear_model.LogisticRegression
      cv: 3
    search_space:
      C: {type: loguniform, min_value: -7, max_value: 3}
      fit_intercept: {type: choice, values: [true, false]}
    sampling_algorithm: random
    objective: {primary_metric: roc_auc, goal: maximize}
    limits: {max_total_trials: 24, max_concurrent_trials: 2}
`;
const FAILED = `
type: pipeline
display_name: broken
jobs:
  good: {type: command, command: echo fine}
  bad: {type: command, command: 'python -c "[][1]"'}
`;
const GATED = `
type: pipeline
display_name: gated
jobs:
  gate: {component: mlq:approve, inputs: {message: 'Ship it?', version: 'models:/penguins/1'}}
`;
const SCHEDULE = {
  name: "nightly",
  trigger: { type: "cron", expression: "30 2 * * 1-5", time_zone: "Europe/Berlin" },
  create_job: { type: "command", command: "echo nightly", compute: "cpu" },
};
const BATCH = {
  type: "pipeline",
  inputs: { word: { type: "string" }, times: { type: "integer", default: 1 } },
  jobs: {
    say: {
      type: "command",
      command: "echo ${{inputs.word}}",
      inputs: { word: "${{parent.inputs.word}}" },
    },
  },
};

/** Give a server that has the demo's data what the demo lacks. Returns the ids of its jobs. */
export async function fill(server) {
  const submit = (body) => server.ask("jobs", { type: "application/yaml", body });
  const put = (path, body) =>
    server.ask(path, { type: json, body: JSON.stringify(body), method: "PUT" });
  const post = (path, body) => server.ask(path, { type: json, body: JSON.stringify(body) });
  const [sweep, failed, gated] = [
    await submit(SWEEP.trim()),
    await submit(FAILED.trim()),
    await submit(GATED.trim()),
  ];
  await put("schedules/nightly", SCHEDULE);
  await put("batch-endpoints/echo", { name: "echo" });
  await put("batch-endpoints/echo/deployments/v1", { name: "v1", ...typed(BATCH) });
  await put("webhooks/chat", {
    form: "json",
    target: "https://hooks.example.invalid/mlq",
    kinds: ["job.fail"],
  });
  await post("projects", { name: "fraud" });
  await put("limits/feature-store", { slots: 4 });
  await put("quotas/fraud", { slots: 8 });
  for (const { id, ends } of [
    { id: sweep.id, ends: ["succeeded", "failed"] },
    { id: failed.id, ends: ["failed"] },
    { id: gated.id, ends: ["waiting", "running"] },
  ]) {
    await until(async () => ends.includes((await server.ask(`jobs/${id}`)).state));
  }
  const { children } = await server.ask(`jobs/${sweep.id}?depth=1`);
  return {
    sweep: children.find((one) => one.type === "sweep").id,
    failed: failed.id,
    gated: gated.id,
  };
}

function typed(component) {
  return { type: "pipeline", component };
}

async function until(isTrue) {
  const deadline = Date.now() + 600_000;
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error("a job did not end");
    await new Promise((done) => setTimeout(done, 300));
  }
}

/** name -> address of every page, on a server that `fill` has filled. */
export function pagesOf({ sweep, failed, gated }) {
  return {
    overview: "",
    lost: "no/such/page",
    jobs: "jobs",
    job: "jobs/penguins",
    "job-step": "jobs/penguins?step=train&view=metrics",
    "job-timeline": "jobs/penguins?tab=timeline&step=none",
    "job-steps": "jobs/penguins?tab=steps",
    "job-log": "jobs/penguins?tab=log",
    "job-values": "jobs/penguins?step=evaluate&view=data",
    "job-history": "jobs/penguins?tab=history",
    "job-file": "jobs/penguins?tab=file",
    "job-failed": `jobs/${failed}`,
    "job-unknown": "jobs/no-such-job",
    "job-waiting": `jobs/${gated}`,
    sweep: `jobs/${sweep}`,
    compare: `compare?jobs=${failed},${gated}`,
    designer: "designer?from=penguins&step=train",
    "designer-changes": "designer?from=penguins&against=opened",
    models: "models",
    model: "models/penguins",
    data: "data",
    dataset: "data/penguins",
    "dataset-columns": "data/penguins?view=columns",
    "dataset-changes": "data/penguins?view=changes",
    "dataset-uses": "data/penguins?view=lineage&version=1",
    endpoints: "endpoints",
    endpoint: "endpoints/penguins",
    "batch-endpoint": "batch-endpoints/echo",
    approvals: "approvals",
    schedules: "schedules",
    schedule: "schedules/nightly",
    "schedule-editor": "schedule-editor?name=nightly",
    workers: "workers",
    settings: "settings",
    tokens: "settings?tab=tokens",
    projects: "settings?tab=projects",
    limits: "settings?tab=limits",
    webhooks: "settings?tab=webhooks",
    audit: "settings?tab=audit",
  };
}
