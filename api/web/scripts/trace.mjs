// Drive a large diagram, a large sweep and a large draft, and print the longest tasks of each page.
// benchmarks/console_trace.py starts it:   node scripts/trace.mjs URL TOKEN JOB SWEEP
import { logIn, openBrowser, visit } from "../e2e/browser.mjs";

const [url, token, job, sweep] = process.argv.slice(2);
const SETTLE_MS = 1500;

const browser = await openBrowser();
const { page } = await logIn(browser, { url, token }, "/", {
  viewport: { width: 1440, height: 900 },
});
await page.addInitScript(() => {
  window.tasks = [];
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries())
      window.tasks.push([startTime, duration]);
  }).observe({ type: "longtask", buffered: true });
});

/** Load a page, let it settle, act on it; print what took longest before and after. */
async function trace(name, path, ready, act) {
  marks = [];
  await visit(page, `${url}/${path}`);
  await page.waitForSelector(ready);
  await page.waitForTimeout(SETTLE_MS);
  const settled = await page.evaluate(() => performance.now());
  await act();
  await page.waitForTimeout(SETTLE_MS);
  const tasks = await page.evaluate(() => window.tasks);
  const of = (kept) => {
    const found = tasks.filter(([at]) => kept(at)).toSorted(([, one], [, other]) => other - one);
    const [at, duration] = found[0] ?? [0, 0];
    const during = marks.findLast(([begun]) => begun <= at)?.[1];
    return `${String(Math.round(duration)).padStart(5)} (${found.length} over 50${during ? `, at: ${during}` : ""})`;
  };
  const told = [of((at) => at < settled), of((at) => at >= settled)];
  console.log(`${name.padEnd(10)} loading ${told[0]}   after ${told[1]}`);
}

let marks = [];

/** Say what comes next, so that a long task has a name. */
async function mark(name) {
  marks.push([await page.evaluate(() => performance.now()), name]);
}

async function drag(box, from, to, moves = 20) {
  const at = ([x, y]) => [box.x + box.width * x, box.y + box.height * y];
  await page.mouse.move(...at(from));
  await page.mouse.down();
  for (let index = 1; index <= moves; index += 1) {
    const part = (one) => from[one] + ((to[one] - from[one]) * index) / moves;
    await page.mouse.move(...at([part(0), part(1)]));
  }
  await page.mouse.up();
}

await trace("diagram", `jobs/${job}?step=none`, ".node", async () => {
  const box = await page.locator(".flow").boundingBox();
  await mark("pan");
  await drag(box, [0.5, 0.5], [0.1, 0.2]);
  await drag(box, [0.5, 0.5], [0.9, 0.8]);
  const controls = page.locator(".react-flow__controls button");
  await mark("zoom");
  for (const index of [1, 1, 0, 0]) await controls.nth(index).click();
  await mark("see all");
  for (const index of [2]) await controls.nth(index).click();
  await mark("select");
  for (const name of ["s3", "s0", "s21"]) {
    await page.locator(`.node:has(span[title=${name}])`).click({ force: true });
  }
  await page.getByRole("button", { name: "Close the step" }).click();
  for (const tab of ["Timeline", "Steps", "Flow"]) {
    await mark(tab);
    await page.getByRole("tab", { name: tab, exact: true }).click();
  }
});

await trace("sweep", `jobs/${sweep}`, "canvas[aria-label*=trials]", async () => {
  const section = page.getByRole("region", { name: "All parameters" });
  await section.scrollIntoViewIfNeeded();
  const box = await section.locator("canvas").boundingBox();
  await mark("hover");
  for (let index = 0; index < 60; index += 1) {
    await page.mouse.move(box.x + 60 + index * 10, box.y + 60 + ((index * 37) % 150));
  }
  await mark("brush");
  // a brush over the upper half of the first axis
  await drag(box, [40 / box.width, 0.5], [40 / box.width, 0.2]);
  await mark("unbrush");
  await page.getByRole("button", { name: "Show all again" }).click();
  const table = page.getByRole("table", { name: "Trials" });
  await table.scrollIntoViewIfNeeded();
  await mark("scroll");
  const rows = await table.boundingBox();
  await page.mouse.move(rows.x + rows.width / 2, rows.y + rows.height / 2);
  for (let index = 0; index < 20; index += 1) await page.mouse.wheel(0, 900);
});

await trace("designer", `designer?from=${job}`, ".step-card", async () => {
  const box = await page.locator(".designer-canvas").boundingBox();
  await mark("pan");
  await drag(box, [0.5, 0.5], [0.2, 0.3]);
  await mark("type");
  await page.locator(".cm-line", { hasText: "display_name" }).click();
  await page.keyboard.press("End");
  await page.keyboard.type("r and wider", { delay: 60 });
  await mark("select");
  await page.getByRole("button", { name: "s5", exact: true }).click();
});

await browser.close();
