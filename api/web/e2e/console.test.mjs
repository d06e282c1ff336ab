// What people do with the console, by clicks and by keys, in a real browser on a real server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { logIn, openBrowser } from "./browser.mjs";
import { startServer } from "./server.mjs";

let server;
let browser;
let context;
let page;

before(async () => {
  server = await startServer();
  browser = await openBrowser();
  ({ context, page } = await logIn(browser, server, "/models/penguins"));
  await page.waitForSelector("h1:has-text('penguins')");
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const champion = async () => (await server.ask("models/penguins")).aliases.production;

function submit(document) {
  return server.ask("jobs", { type: "application/yaml", body: document });
}

test("a promotion and a rollback are clicks, and undo takes one back", async () => {
  assert.equal(await champion(), 1);
  await page.click("button:has-text('Promote v2')");
  await page.click("[role=dialog] button:has-text('Promote v2')");
  await page.waitForSelector("text=production → v2");
  await page.click("button:has-text('Undo')");
  await page.waitForSelector("text=production → v1");
  assert.equal(await champion(), 1);
});

test("a rollback needs the keyboard only, and keeps its reason", async () => {
  const body = JSON.stringify({ alias: "production", version: 2 });
  await server.ask("models/penguins/aliases", { type: "application/json", body });
  await page.waitForSelector("text=production → v2"); // without a reload
  await page.reload();
  await page.waitForSelector("button:has-text('Roll back to v1')");
  const focused = () => page.evaluate(() => document.activeElement?.textContent);
  for (let presses = 0; (await focused()) !== "Roll back to v1"; presses += 1) {
    assert.ok(presses < 60, "the button is reached by Tab");
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Enter");
  await page.waitForSelector("[role=dialog] input:focus");
  await page.keyboard.type("worse on mondays");
  await page.keyboard.press("Enter");
  await page.waitForSelector("td:has-text('worse on mondays')");
  assert.equal(await champion(), 1);
});

test("an endpoint answers the form that its model's signature makes", async () => {
  await page.goto(`${server.url}/endpoints/penguins`);
  await page.getByLabel("body_mass_g", { exact: true }).fill("3750");
  await page.click("button:has-text('Predict')");
  await page.waitForSelector("text=models:/penguins/1 behind production");
});

test("a job is followed from its arrival to its end, its log as it is printed", async () => {
  await page.goto(`${server.url}/jobs`);
  await page.waitForSelector("[role=status]:has-text('live')");
  await submit(
    "type: pipeline\ndisplay_name: followed\njobs:\n" +
      "  count: {type: command, command: 'for i in 1 2 3 4; do echo tick $i; sleep 0.5; done'}\n",
  );
  await page.click("button:has-text('1 new')");
  await page.click("a:has-text('followed')");
  await page.click(".node:has-text('count')");
  await page.waitForSelector(".log-line:has-text('tick 1')");
  await page.waitForSelector(".node.succeeded");
  await page.waitForSelector("text=4 lines");
});

test("a failed job opens at the error of the step that failed", async () => {
  const { id } = await submit(
    "type: pipeline\ndisplay_name: broken\njobs:\n" +
      "  good: {type: command, command: echo fine}\n" +
      "  bad: {type: command, command: 'python -c \"[][1]\"'}\n",
  );
  await page.goto(`${server.url}/jobs/${id}`);
  await page.waitForSelector("section[aria-label='Step bad'] .log-line:has-text('IndexError')");
});

test("a pasted address shows the same in another tab", async () => {
  await page.goto(`${server.url}/jobs`);
  await page.fill("[role=search] input", "state:failed name:broken");
  await page.press("[role=search] input", "Enter");
  await page.waitForURL(/state=failed/);
  const other = await context.newPage();
  await other.goto(page.url());
  await other.waitForSelector(".job-row:has-text('broken')");
  assert.equal(await other.inputValue("[role=search] input"), "state:failed name:broken");
  await other.close();
});

test("a pipeline is drawn, checked, run, and its picture is the same", async () => {
  await page.goto(`${server.url}/designer`);
  const add = async (component) => {
    await page.getByRole("combobox", { name: "Add a step" }).fill(component);
    await page.getByRole("option", { name: component, exact: true }).click();
  };
  const form = (name) => page.getByRole("region", { name: `Step ${name}`, exact: true });
  const text = () => page.locator(".cm-content").innerText();
  await page.getByRole("button", { name: "New" }).click();
  await add("mlq:preprocess");
  await form("preprocess").getByLabel("data *").fill("mlq:penguins@latest");
  await form("preprocess").getByLabel("target *").fill("sex");
  await form("preprocess").getByLabel("target *").press("Enter");
  await add("mlq:train");
  await form("train").getByLabel("estimator *").fill("sklearn.linear_model.LogisticRegression");
  await form("train").getByLabel("estimator *").press("Enter");
  // a line from port to port
  const port = (step, name) => page.locator(`[data-id=${step}] [data-handleid=${name}]`);
  await page.waitForTimeout(300);
  await port("preprocess", "train").dragTo(port("train", "data"));
  await page.waitForSelector("[aria-label='preprocess.train to train.data']");
  // and one that cannot be
  await port("train", "model").dragTo(port("preprocess", "data"));
  await page.waitForSelector("text=the steps would wait for each other");
  await form("train").getByRole("combobox", { name: "recipe" }).click();
  await page.getByRole("option", { name: "preprocess → recipe" }).click();
  await page.waitForSelector("text=The server would take it: 2 steps");
  // the text is the same document, and its comments stay
  await page.locator(".cm-line", { hasText: "estimator:" }).click();
  await page.keyboard.press("End");
  await page.keyboard.type(" # the plain one");
  await form("train").getByLabel("seed").fill("7");
  await page.waitForFunction(() => /seed: 7/.test(document.querySelector(".cm-content").innerText));
  assert.match(await text(), /LogisticRegression # the plain one/);
  // what is no YAML leaves the picture as it was
  await page.locator(".cm-line", { hasText: "display_name" }).click();
  await page.keyboard.press("Home");
  await page.keyboard.type("{");
  await page.waitForSelector("text=the picture shows the last that was");
  assert.equal(await page.locator(".step-card").count(), 2);
  await page.keyboard.press("Backspace");
  await page.waitForSelector("text=The server would take it: 2 steps");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.waitForURL(/jobs/);
  await page.waitForSelector(".node.succeeded:has-text('train')");
  const lines = await page.locator(".flow-lines").getAttribute("data-lines");
  assert.equal(lines, "1", "train waits for preprocess");
  // the job's file opens as the same picture, and all of it would be reused now
  await page.getByRole("link", { name: "Change and run" }).click();
  await page.waitForSelector("text=2 with outputs that are there already");
  assert.equal(await page.locator(".step-card").count(), 2);
  assert.match(await text(), /LogisticRegression # the plain one/);
});

test("a log goes on without gap or repeat when the API starts anew", async () => {
  const { id } = await submit(
    "type: command\ndisplay_name: counting\n" +
      "command: 'for i in $(seq 1 40); do echo tick $i; sleep 0.2; done'\n",
  );
  await page.goto(`${server.url}/jobs/${id}?tab=log`);
  await page.waitForSelector(".log-line:has-text('tick 5')");
  server.killApi();
  await page.waitForSelector("text=40 lines");
  await page.waitForSelector(".log-line:has-text('tick 40')");
});

test("the first load is at most 300 kB", async () => {
  const fresh = await browser.newContext();
  const first = await fresh.newPage();
  const sizes = [];
  first.on("response", async (response) => {
    if (response.url().includes("/static/")) {
      sizes.push(
        response
          .request()
          .sizes()
          .then((size) => size.responseBodySize),
      );
    }
  });
  await first.goto(`${server.url}/login?next=/`);
  await first.fill("input[name=token]", server.token);
  await first.press("input[name=token]", "Enter");
  await first.waitForSelector("h1:has-text('Overview')");
  await first.waitForLoadState("networkidle", { timeout: 3000 }).catch(() => undefined);
  const total = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  await fresh.close();
  assert.ok(total > 50_000 && total <= 300_000, `${total} bytes`);
});

test("steps of the diagram are selected one after the other, by clicks and by keys", async () => {
  await page.goto(`${server.url}/jobs/penguins?step=none`);
  for (const name of ["train", "preprocess", "evaluate", "train"]) {
    await page.click(`.node:has-text('${name}')`);
    await page.waitForSelector(`section[aria-label='Step ${name}']`);
    await page.waitForURL(new RegExp(`step=${name}`));
  }
  await page.locator(".react-flow__node:has-text('register')").focus();
  await page.keyboard.press("Enter");
  await page.waitForSelector("section[aria-label='Step register']");
  await page.goBack();
  await page.waitForSelector("section[aria-label='Step train']");
});

test("outputs are looked at without a download", async () => {
  await page.goto(`${server.url}/jobs/penguins?step=evaluate&view=data`);
  const outputs = page.getByRole("table", { name: "Outputs" });
  await outputs.getByRole("button", { name: "Show" }).first().click();
  await page.waitForSelector("pre:has-text('roc_auc')");
  await outputs.getByRole("row", { name: /plots/ }).getByRole("button", { name: "Show" }).click();
  await page.waitForFunction(() => document.querySelector("img.picture")?.naturalWidth > 0);
});

test("jobs are compared by what they differ in", async () => {
  await page.goto(`${server.url}/jobs?name=penguins`);
  const boxes = page.getByRole("checkbox", { name: /Choose penguins/ });
  await boxes.nth(0).check();
  await boxes.nth(1).check();
  await page.getByRole("link", { name: "Compare 2" }).click();
  await page.waitForSelector("th:has-text('evaluate.accuracy')");
  assert.equal(await page.locator("th", { hasText: "evaluate: state" }).count(), 0);
  await page.getByRole("checkbox", { name: "Differences only" }).uncheck();
  await page.waitForSelector("th:has-text('evaluate: state')");
});

test("a metric of steps has a column, and the view is kept under a name", async () => {
  await page.goto(`${server.url}/jobs?name=penguins`);
  await page.getByRole("button", { name: "Columns" }).click();
  await page.getByRole("combobox", { name: "Metrics with a column" }).fill("evaluate.accuracy");
  await page.keyboard.press("Enter");
  await page.waitForURL(/columns=evaluate.accuracy/);
  await page.keyboard.press("Escape");
  const jobs = page.getByRole("table", { name: "Jobs" });
  await jobs.getByRole("columnheader", { name: "evaluate.accuracy" }).waitFor();
  await jobs
    .getByRole("cell", { name: /^0\.\d+$/ })
    .first()
    .waitFor();
  await page.getByRole("button", { name: "Views" }).click();
  await page.getByRole("menuitem", { name: "Save this view…" }).click();
  await page.getByRole("dialog").getByLabel("Name").fill("accuracy");
  await page.keyboard.press("Enter");
  await page.goto(`${server.url}/jobs`);
  await page.getByRole("button", { name: "Views" }).click();
  await page.getByRole("menuitem", { name: /^accuracy/ }).click();
  await page.waitForURL(/name=penguins.*columns=evaluate.accuracy/);
});

test("jobs are found by what their steps measured", async () => {
  await page.goto(`${server.url}/jobs`);
  const filter = page.getByRole("combobox", { name: "Filter" });
  await filter.fill("evaluate.accuracy>0.5");
  await page.keyboard.press("Enter");
  await page.waitForURL(/where=/);
  await page.locator(".job-row:has-text('penguins')").first().waitFor();
  await filter.fill("evaluate.accuracy>2");
  await page.keyboard.press("Enter");
  await page.waitForSelector("text=No job fits this filter.");
});

test("a filter is completed from what the newest jobs are called", async () => {
  await page.goto(`${server.url}/jobs`);
  const filter = page.getByRole("combobox", { name: "Filter" });
  await filter.fill("state:succeeded peng");
  await page.getByRole("option", { name: "penguins" }).click();
  assert.equal(await filter.inputValue(), "state:succeeded penguins");
  await filter.press("Enter");
  await page.waitForURL(/state=succeeded/);
  await page.waitForSelector(".job-row:has-text('penguins')");
});

test("a version of data shows its rows, its columns, what changed, and who uses it", async () => {
  await page.goto(`${server.url}/data/penguins`);
  await page.getByRole("table", { name: "First rows" }).getByText("Torgersen").first().waitFor();
  await page.getByRole("tab", { name: "Columns" }).click();
  const columns = page.getByRole("table", { name: "Columns" });
  await columns.locator("tr:has-text('body_mass_g')").getByRole("img").waitFor();
  await page.getByRole("tab", { name: "Changes" }).click();
  await page.waitForSelector("dd:has-text('224 → 344')");
  await page.waitForSelector("tr:has-text('year'):has-text('large change')");
  await page.getByRole("button", { name: "v1", exact: true }).click();
  await page.getByRole("tab", { name: "Used by" }).click();
  await page.getByRole("link", { name: "models:/penguins/1" }).click();
  // and from the model back to its data
  const version = page.getByRole("region", { name: "Version 1" });
  await version.getByRole("link", { name: "mlq:penguins:1" }).click();
  await page.waitForURL(/data\/penguins\?version=1/);
});

test("a step is copied by keys, and what was changed is told", async () => {
  await page.goto(`${server.url}/designer?from=penguins`);
  await page.locator("[data-id=train] .node-name").click();
  await page.waitForSelector("section[aria-label='Step train']");
  await page.locator("[data-id=train]").focus();
  await page.keyboard.press("Control+C");
  await page.keyboard.press("Control+V");
  await page.waitForSelector("section[aria-label='Step train_2']");
  await page.getByRole("button", { name: "Duplicate train_2" }).click();
  await page.waitForSelector("section[aria-label='Step train_3']");
  await page.getByRole("button", { name: "Remove train_3" }).click();
  await page.getByRole("combobox", { name: "Compare with" }).click();
  await page.getByRole("option", { name: "As it was opened" }).click();
  const changes = page.getByRole("table", { name: "Changes" });
  await changes.locator("tr:has-text('train_2'):has-text('new')").waitFor();
  await page.waitForSelector("[data-id=train_2] b:has-text('new')");
  assert.equal(await changes.getByRole("row").count(), 2);
});

test("a pipeline is published, changed, and published as the next version", async () => {
  await page.goto(`${server.url}/designer?from=penguins`);
  await page.waitForSelector("text=The server would take it");
  await page.getByRole("button", { name: "Publish" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("combobox", { name: "Endpoint" }).fill("loop");
  await dialog.getByRole("button", { name: "Publish" }).click();
  await page.waitForURL(/batch-endpoints\/loop/);
  await page.getByRole("link", { name: "v1", exact: true }).click();
  await page.locator("[data-id=train] .node-name").click();
  const folds = page.getByRole("region", { name: "Step train" }).getByLabel("cv");
  await folds.fill("3");
  await folds.press("Enter");
  await page.waitForSelector("text=The server would take it");
  await page.getByRole("button", { name: "Publish" }).click();
  await dialog.getByRole("button", { name: "Publish" }).click();
  await page.getByRole("link", { name: "v2", exact: true }).click();
  await page.getByRole("combobox", { name: "Compare with" }).click();
  await page.getByRole("option", { name: "Version 1" }).click();
  await page.waitForSelector("tr:has-text('inputs.cv'):has-text('5'):has-text('3')");
});
