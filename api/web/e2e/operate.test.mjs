// What people who run a platform do: approve, roll out, schedule, publish, tell, admit.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { logIn, openBrowser } from "./browser.mjs";
import { startServer } from "./server.mjs";

let server;
let browser;
let page;

before(async () => {
  server = await startServer();
  browser = await openBrowser();
  ({ page } = await logIn(browser, server));
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const json = "application/json";
const submit = (body) => server.ask("jobs", { type: "application/yaml", body });
const gated = (name) =>
  submit(
    `type: pipeline\ndisplay_name: ${name}\njobs:\n` +
      "  gate: {component: mlq:approve, inputs: {message: 'Ship it?', version: 'models:/penguins/1'}}\n",
  );
const within = (name) => page.getByRole("article", { name: `${name} / gate` });

test("a decision is made on the overview, and its reason stays", async () => {
  const { id } = await gated("shipped");
  await page.goto(server.url);
  await within("shipped").getByRole("button", { name: "Approve" }).click();
  await page.getByRole("dialog").getByLabel("Reason").fill("the numbers are good");
  await page.keyboard.press("Enter");
  await within("shipped").waitFor({ state: "detached" });
  await page.goto(`${server.url}/jobs/${id}?tab=history`);
  await page.waitForSelector("text=the numbers are good");
  assert.equal((await server.ask(`jobs/${id}`)).state, "succeeded");
});

test("a job that waits asks on its own page, and a no is an end", async () => {
  const { id } = await gated("stopped");
  await page.goto(`${server.url}/jobs/${id}`);
  await within("stopped").getByRole("button", { name: "Reject" }).click();
  await page.getByRole("dialog").getByLabel("Reason").fill("too slow");
  await page.keyboard.press("Enter");
  await page.waitForSelector("text=too slow");
  const { children } = await server.ask(`jobs/${id}?depth=1`);
  assert.deepEqual(
    children.map(({ state, reason }) => [state, reason]),
    [["failed", "rejected"]],
  );
});

test("a rollout is begun, held, resumed and aborted", async () => {
  // the demo's rollback holds the alias
  await server.ask("models/penguins/resume", { type: json, body: '{"alias": "production"}' });
  await page.goto(`${server.url}/endpoints/penguins`);
  await page.getByRole("button", { name: "Roll a version out by stages" }).click();
  await page.getByRole("combobox", { name: "Version" }).click();
  await page.getByRole("option", { name: "2", exact: true }).click();
  await page.getByLabel("Alias").fill("production");
  await page.getByLabel("Copies first").fill("");
  await page.getByLabel("Then answers").fill("10:3600, half");
  await page.waitForSelector("text='half' is no stage");
  await page.getByLabel("Then answers").fill("10:3600, 50:3600");
  await page.getByRole("button", { name: "Begin the rollout" }).click();
  const stages = page.getByRole("list", { name: "Stages" });
  await stages.locator("li[aria-current=step]:has-text('Answers 10 %')").waitFor();
  await page.waitForSelector("text=While a rollout is open, the traffic is its own.");
  const act = async (name, reason) => {
    await page.getByRole("button", { name, exact: true }).click();
    await page.getByRole("dialog").getByLabel("Reason").fill(reason);
    await page.keyboard.press("Enter");
  };
  await act("Hold", "it is Friday");
  await page.waitForSelector("text=Held: it is Friday");
  await act("Resume", "");
  await page.waitForSelector("text=under way");
  await act("Abort", "second thoughts");
  const ended = page.getByRole("table", { name: "Rollouts that have ended" });
  await ended.locator("tr:has-text('rolled back')").waitFor();
  assert.equal((await server.ask("endpoints/penguins")).traffic["production-candidate"] ?? 0, 0);
});

test("a schedule is made, says its next times, fires, is changed and removed", async () => {
  await page.goto(`${server.url}/schedules`);
  await page.getByRole("link", { name: "New schedule" }).click();
  await page.getByLabel("Name").fill("nightly");
  await page.getByRole("textbox", { name: "Expression" }).fill("61 2 * * *");
  await page.waitForSelector("[role=alert]:has-text('61')");
  await page.getByRole("textbox", { name: "Expression" }).fill("30 2 * * 1-5");
  await page.waitForSelector("[role=status]:has-text('It would fire at')");
  await page.getByRole("button", { name: "Make the schedule" }).click();
  await page.waitForURL(/schedules\/nightly/);
  const times = page.getByRole("region", { name: "Next times" });
  await times.locator("li").nth(4).waitFor();
  await page.getByRole("button", { name: "Fire now" }).click();
  await page.waitForSelector("td:has-text('submitted')");
  await page.getByRole("switch", { name: "nightly fires" }).focus();
  await page.keyboard.press("Space");
  await times.waitFor({ state: "detached" });
  await page.getByRole("link", { name: "Edit" }).click();
  await page.getByRole("textbox", { name: "Expression" }).fill("0 4 * * *");
  await page.getByRole("button", { name: "Save the schedule" }).click();
  await page.waitForSelector("text=cron 0 4 * * *");
  await page.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("button", { name: "Remove the schedule" }).click();
  await page.waitForSelector("text=No schedules yet");
});

test("a job becomes a schedule", async () => {
  await page.goto(`${server.url}/jobs/penguins`);
  await page.getByRole("link", { name: "Schedule", exact: true }).click();
  await page.waitForSelector(".cm-content:has-text('mlq:preprocess')");
});

test("a batch endpoint is invoked by its form", async () => {
  const pipeline = {
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
  const put = (path, body) =>
    server.ask(path, { type: json, body: JSON.stringify(body), method: "PUT" });
  await put("batch-endpoints/echo", { name: "echo" });
  await put("batch-endpoints/echo/deployments/v1", {
    name: "v1",
    type: "pipeline",
    component: pipeline,
  });
  await page.goto(`${server.url}/endpoints`);
  await page.getByRole("link", { name: "echo", exact: true }).click();
  await page.getByLabel("word").fill("hello");
  await page.getByRole("button", { name: "Invoke" }).click();
  const jobs = page.getByRole("table", { name: "Jobs of echo" });
  await jobs.locator("tr:has-text('succeeded')").waitFor();
  await jobs.getByRole("link").first().click();
  await page.click(".node:has-text('say')");
  await page.waitForSelector(".log-line:has-text('hello')");
});

test("a webhook is made, tested, and its log tells what came of it", async () => {
  await page.goto(`${server.url}/settings?tab=webhooks`);
  await page.getByLabel("Name").fill("chat");
  await page.getByLabel("URL").fill("https://hooks.example.invalid/mlq");
  await page.getByRole("button", { name: "Make a webhook" }).click();
  await page.waitForSelector("text=The secret of chat");
  await page.getByRole("button", { name: "Test chat" }).click();
  const log = page.getByRole("region", { name: "Deliveries of chat" });
  await log.locator("tr:has-text('test')").waitFor();
  await page.getByRole("button", { name: "Remove chat" }).click();
  await page.getByRole("button", { name: "Remove the webhook" }).click();
  await page.waitForSelector("text=No webhooks yet");
});

test("a project is made with a token of its own, and all of it is in the audit log", async () => {
  await page.goto(`${server.url}/settings?tab=projects`);
  await page.getByLabel("Name").fill("fraud");
  await page.getByRole("button", { name: "Make a project" }).click();
  await page.waitForSelector("td:has-text('fraud')");
  await page.getByRole("tab", { name: "Tokens" }).click();
  await page.getByLabel("Name").fill("ci");
  await page.getByRole("combobox", { name: "Project" }).click();
  await page.getByRole("option", { name: "fraud" }).click();
  await page.getByRole("button", { name: "Make a token" }).click();
  await page.waitForSelector("text=It is shown this once.");
  await page.getByRole("tab", { name: "Projects" }).click();
  await page.waitForSelector("tr:has-text('fraud'):has-text('ci (submitter)')");
  await page.getByRole("tab", { name: "Audit log" }).click();
  await page.waitForSelector("tr:has-text('project.create'):has-text('project:fraud')");
});

test("a limit is set, shows what it holds, and is removed with a way back", async () => {
  await page.goto(`${server.url}/settings?tab=limits`);
  const form = page.getByRole("form", { name: "Set a limit" });
  await form.getByRole("combobox", { name: "Limit" }).fill("feature-store");
  await form.getByLabel("Steps at once").fill("1");
  await form.getByRole("button", { name: "Set the limit" }).click();
  const row = page
    .getByRole("table", { name: "Concurrency limits" })
    .locator("tr:has-text('store')");
  await row.getByText("0 of 1").waitFor();
  const steps = ["a", "b"].map(
    (name) =>
      `  ${name}: {type: command, command: sleep 30, limits: {concurrency: feature-store}}\n`,
  );
  const { id } = await submit(`type: pipeline\njobs:\n${steps.join("")}`);
  await row.getByText("1 of 1").waitFor();
  await row.getByText("1 step", { exact: true }).waitFor();
  await server.ask(`jobs/${id}/cancel`, { type: json, body: "{}" });
  await row.getByRole("button", { name: "Remove feature-store" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove the limit" }).click();
  await page.waitForSelector("text=None is set:");
  await page.getByRole("button", { name: "Undo" }).click();
  await row.getByText("0 of 1").waitFor();
  const quota = page.getByRole("form", { name: "Set a quota" });
  await quota.getByRole("combobox", { name: "Project" }).fill("fraud");
  await quota.getByRole("button", { name: "Set the quota" }).click();
  await page.getByRole("table", { name: "Quotas of projects" }).getByText("0 of 4").waitFor();
});

test("a worker is drained, takes nothing, and is resumed", async () => {
  await page.goto(`${server.url}/workers`);
  await page.getByRole("button", { name: /^Drain / }).click();
  await page.waitForSelector("tr:has-text('draining')");
  await page.getByRole("button", { name: /^Resume / }).click();
  await page.waitForSelector("tr:has-text('online')");
});
