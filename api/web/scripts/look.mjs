// Take pictures of every page, light and dark, wide and narrow, and examine each with axe.
//   node scripts/look.mjs http://127.0.0.1:8420 TOKEN [PAGE…]     pictures in shots/
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [base, token, ...named] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const headers = { authorization: `Bearer ${token}` };
const get = async (path) => (await fetch(`${base}/v1/${path}`, { headers })).json();

const [jobs, models, endpoints, data] = await Promise.all(
  ["jobs?limit=50", "models", "endpoints", "data"].map(
    async (path) => (await get(path)).items ?? [],
  ),
);
const pipeline = jobs.find((job) => job.type === "pipeline" && job.state === "succeeded");
const sweep = jobs.find((job) => job.type === "sweep");
const failed = jobs.find((job) => job.state === "failed");
const pages = {
  overview: "/",
  jobs: "/jobs",
  models: "/models",
  endpoints: "/endpoints",
  data: "/data",
  workers: "/workers",
  settings: "/settings",
  ...(pipeline && {
    job: `/jobs/${pipeline.id}`,
    step: `/jobs/${pipeline.id}?step=train&view=metrics`,
    timeline: `/jobs/${pipeline.id}?tab=timeline`,
    log: `/jobs/${pipeline.id}?tab=log`,
  }),
  ...(sweep && { sweep: `/jobs/${sweep.id}` }),
  ...(failed && { failed: `/jobs/${failed.id}` }),
  ...(models[0] && { model: `/models/${models[0].name}` }),
  ...(endpoints[0] && { endpoint: `/endpoints/${endpoints[0].name}` }),
  ...(data[0] && { dataset: `/data/${data[0].name}` }),
};
const wanted = Object.entries(pages).filter(([name]) => !named.length || named.includes(name));

mkdirSync("shots", { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
let findings = 0;
for (const scheme of ["light", "dark"]) {
  for (const width of [1280, 390]) {
    const context = await browser.newContext({
      viewport: { width, height: 900 },
      colorScheme: scheme,
      bypassCSP: true,
    });
    const page = await context.newPage();
    page.on("console", (message) => {
      if (message.type() === "error") console.log(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => console.log(`error: ${error.message}`));
    await page.goto(`${base}/login`);
    await page.fill("input[name=token]", token);
    await page.press("input[name=token]", "Enter");
    await page.waitForSelector("h1");
    for (const [name, path] of wanted) {
      await page.goto(base + path);
      await page.waitForSelector("h1");
      await page.waitForTimeout(900);
      await page.screenshot({ path: `shots/${name}-${scheme}-${width}.png` });
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run());
      for (const { id, impact, nodes } of violations) {
        if (impact !== "serious" && impact !== "critical") continue;
        findings += 1;
        console.log(`${name} ${scheme} ${width}: ${id} (${impact}) ${nodes[0].html.slice(0, 160)}`);
      }
      const overflow = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      if (overflow > 0) console.log(`${name} ${scheme} ${width}: ${overflow} px too wide`);
    }
    await context.close();
  }
}
await browser.close();
console.log(`${wanted.length} pages, ${findings} serious or critical findings`);
