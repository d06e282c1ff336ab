// What people do with the console, by clicks and by keys, in a real browser on a real server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { startServer } from "./server.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const FACT_MS = 30_000;

let server;
let browser;
let context;
let page;

before(async () => {
  server = await startServer();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox"],
  });
  context = await browser.newContext({ bypassCSP: true });
  context.setDefaultTimeout(FACT_MS);
  page = await context.newPage();
  await page.goto(`${server.url}/login?next=/models/penguins`);
  await page.fill("input[name=token]", server.token);
  await page.press("input[name=token]", "Enter");
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

for (const path of [
  "",
  "jobs",
  "jobs/penguins",
  "models/penguins",
  "endpoints/penguins",
  "workers",
]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`axe finds nothing serious at /${path}, ${colorScheme}`, async () => {
      await page.emulateMedia({ colorScheme });
      await page.goto(`${server.url}/${path}`);
      await page.waitForSelector("h1");
      await page.waitForLoadState("domcontentloaded");
      await page.waitForFunction(() => !document.querySelector("[aria-busy=true]"));
      await page.evaluate(AXE);
      const { violations } = await page.evaluate(() => window.axe.run());
      const grave = violations.filter(
        ({ impact }) => impact === "serious" || impact === "critical",
      );
      assert.deepEqual(
        grave.map(({ id, nodes }) => `${id}: ${nodes[0].html}`),
        [],
      );
    });
  }
}
