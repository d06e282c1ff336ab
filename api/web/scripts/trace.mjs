// Drive a large diagram, a large sweep and a large draft, and print the longest tasks of each page.
// benchmarks/console_trace.py starts it:   node scripts/trace.mjs URL TOKEN JOB SWEEP
// TRACES=FOLDER keeps what Chromium recorded, with JavaScript's stacks, for its performance panel.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { logIn, openBrowser, visit } from "../e2e/browser.mjs";

const [url, token, job, sweep] = process.argv.slice(2);
const SETTLE_MS = 1500;
const LONG_MS = 50;
const { TRACES } = process.env;
const CATEGORIES = ["toplevel", "blink.user_timing"];
const STACKS = ["devtools.timeline", "v8", "disabled-by-default-v8.cpu_profiler"];
const SETTLED = "settled";

const browser = await openBrowser();
const { page } = await logIn(browser, { url, token }, "/", {
  viewport: { width: 1440, height: 900 },
});

/** Load a page, let it settle, act on it; print what took longest before and after. */
async function trace(name, path, ready, act) {
  await browser.startTracing(page, { categories: [...CATEGORIES, ...(TRACES ? STACKS : [])] });
  await visit(page, `${url}/${path}`);
  await page.waitForSelector(ready);
  await page.waitForTimeout(SETTLE_MS);
  await mark(SETTLED);
  await act();
  await page.waitForTimeout(SETTLE_MS);
  const recorded = await browser.stopTracing();
  if (TRACES) writeFileSync(join(TRACES, `${name}.json`), recorded);
  const { tasks, marks } = readTrace(JSON.parse(recorded).traceEvents);
  const settled = marks.find((one) => one.name === SETTLED).ts;
  const told = [
    tasks.filter(({ ts }) => ts < settled),
    tasks.filter(({ ts }) => ts >= settled),
  ].map((found) => words(found, marks));
  console.log(`${name.padEnd(10)} loading ${told[0]}   after ${told[1]}`);
}

/**
 * Tasks of the page's thread and the marks set on it, by time.
 *
 * tdur: what the thread was on a processor for, in µs; dur: with what it waited for one.
 */
function readTrace(events) {
  const marks = events.filter(({ cat, ph }) => cat === "blink.user_timing" && ph !== "M");
  const { pid, tid } = marks.find((one) => one.name === SETTLED);
  const mine = events.filter((one) => one.pid === pid && one.tid === tid);
  const tasks = mine.filter(
    ({ name, ph }) => name === "ThreadControllerImpl::RunTask" && ph === "X",
  );
  return {
    tasks,
    marks: mine.filter((one) => marks.includes(one)).toSorted((a, b) => a.ts - b.ts),
  };
}

function words(tasks, marks) {
  const longest = (by) => tasks.toSorted((one, other) => (other[by] ?? 0) - (one[by] ?? 0))[0];
  const [busy, whole] = [longest("tdur"), longest("dur")];
  const ms = (us) => String(Math.round((us ?? 0) / 1000)).padStart(4);
  const count = tasks.filter(({ tdur }) => tdur > LONG_MS * 1000).length;
  const during = marks.findLast(({ ts }) => ts <= busy?.ts)?.name;
  return `${ms(busy?.tdur)} (${ms(whole?.dur)} by the clock; ${count} over ${LONG_MS}; at: ${during ?? "start"})`;
}

/** Say what comes next, so that a long task has a name. */
async function mark(name) {
  await page.evaluate((told) => performance.mark(told), name);
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
    await page.locator(`.react-flow__node:has([title=${name}])`).click({ force: true });
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
  const controls = page.locator(".react-flow__controls button");
  await mark("see all");
  await controls.nth(2).click();
  await mark("zoom");
  for (const index of [0, 0, 0, 1]) await controls.nth(index).click();
  await mark("type");
  await page.locator(".cm-line", { hasText: "display_name" }).click();
  await page.keyboard.press("End");
  await page.keyboard.type("r and wider", { delay: 60 });
  await mark("select");
  await page.getByRole("button", { name: "s5", exact: true }).click();
});

await browser.close();
