// From an empty installation to a rollback by clicks alone, behind a proxy with a path prefix.
import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { after, before, test } from "node:test";
import { logIn, openBrowser } from "./browser.mjs";
import { startServer } from "./server.mjs";

const PREFIX = "/tools/mlq";

let server;
let proxy;
let browser;
let page;
let url;

/** A proxy that answers below PREFIX only, and takes it off, as nginx's `proxy_pass …/` does. */
async function startProxy(target) {
  const made = createServer((asked, answer) => {
    if (!asked.url.startsWith(`${PREFIX}/`)) {
      answer.writeHead(404).end("outside of the prefix");
      return;
    }
    const passed = request(
      new URL(asked.url.slice(PREFIX.length), target),
      { method: asked.method, headers: asked.headers },
      (told) => {
        answer.writeHead(told.statusCode, told.headers);
        told.pipe(answer);
      },
    );
    passed.on("error", () => answer.writeHead(502).end());
    answer.on("close", () => passed.destroy());
    asked.pipe(passed);
  }).listen(0, "127.0.0.1");
  await new Promise((done) => made.once("listening", done));
  return made;
}

before(async () => {
  server = await startServer({ demo: false, env: { MLQ_ROOT_PATH: PREFIX } });
  proxy = await startProxy(server.url);
  url = `http://127.0.0.1:${proxy.address().port}${PREFIX}`;
  browser = await openBrowser();
  ({ page } = await logIn(browser, { ...server, url }));
});

after(async () => {
  await browser?.close();
  proxy?.closeAllConnections();
  proxy?.close();
  await server?.stop();
});

const menu = (name) => page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name });
const dialog = () => page.getByRole("dialog");

async function openModel() {
  await menu("Models").click();
  await page.getByRole("link", { name: "penguins", exact: true }).first().click();
  await page.waitForSelector("h1:has-text('penguins')");
}

async function promote(version) {
  await openModel();
  await page
    .getByRole("button", { name: new RegExp(`^v${version}\\b`) })
    .first()
    .click();
  await page.getByRole("button", { name: `Promote v${version}` }).click();
  await dialog()
    .getByRole("button", { name: `Promote v${version}` })
    .click();
  await page.waitForSelector(`text=production → v${version}`);
}

test("an empty installation becomes a model that is deployed, bettered and rolled back", async () => {
  // a first model, by the button that an empty installation has
  await page.getByRole("button", { name: "Run the demo" }).click();
  await page.waitForURL(/\/tools\/mlq\/jobs\//);
  await page.waitForSelector(".node.succeeded:has-text('deploy')");
  await promote(1);

  // what stands behind the endpoint now
  await menu("Endpoints").click();
  await page.getByRole("link", { name: "penguins", exact: true }).click();
  await page.getByRole("button", { name: "Roll a version out by stages" }).click();
  await page.getByRole("combobox", { name: "Version" }).click();
  await page.getByRole("option", { name: "1", exact: true }).click();
  await page.getByRole("textbox", { name: "Alias" }).fill("production");
  await page.getByRole("button", { name: "Begin the rollout" }).click();
  await page.waitForSelector("text=v1 is deployed at once");
  await page.getByLabel("body_mass_g", { exact: true }).fill("3750");
  await page.getByRole("button", { name: "Predict" }).click();
  await page.waitForSelector("text=models:/penguins/1 behind");

  // a challenger, drawn from the job that made the champion
  await menu("Jobs").click();
  await page.getByRole("link", { name: "penguins", exact: true }).first().click();
  await page.getByRole("link", { name: "Change and run" }).click();
  const form = (name) => page.getByRole("region", { name: `Step ${name}`, exact: true });
  await page.locator("[data-id=train] .node-name").click();
  const estimator = form("train").getByLabel("estimator *");
  await estimator.fill("sklearn.ensemble.RandomForestClassifier");
  await estimator.press("Enter");
  await page.locator("[data-id=evaluate] .node-name").click();
  const gain = form("evaluate").getByLabel("min_improvement");
  await gain.fill("-1");
  await gain.press("Enter");
  await page.waitForSelector("text=The server would take it");
  await page.getByRole("button", { name: "Submit" }).click();
  await page.waitForURL(/\/tools\/mlq\/jobs\//);
  await page.waitForSelector(".node.succeeded:has-text('deploy')");
  await promote(2);

  // and it is taken back
  await openModel();
  await page.getByRole("button", { name: "Roll back to v1" }).first().click();
  await dialog().getByLabel("Reason").fill("second thoughts");
  await page.keyboard.press("Enter");
  await page.waitForSelector("text=production → v1");
  await page.waitForSelector("td:has-text('second thoughts')");
  assert.equal((await server.ask("models/penguins")).aliases.production, 1);
});

test("a file that is added in the browser is a version", async () => {
  await menu("Data").click();
  const file = { name: "Churn 2026.csv", mimeType: "text/csv", buffer: Buffer.from("a,b\n1,2\n") };
  await page.locator("input[type=file]").setInputFiles(file);
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByRole("link", { name: "churn-2026" }).click();
  await page.waitForSelector("a:has-text('Churn 2026.csv')");
});
