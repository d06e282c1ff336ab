// How soon the list of jobs is seen, in ms from the navigation to its first row and to a later page.
// benchmarks/console.py starts it:   node scripts/paint.mjs URL TOKEN
import { logIn, openBrowser } from "../e2e/browser.mjs";

const [url, token] = process.argv.slice(2);
const ROUNDS = 9;
const ROW = "[role=table][aria-label=Jobs] .job-row:not(.head)";

const browser = await openBrowser();
const { page } = await logIn(browser, { url, token }, "/", {
  viewport: { width: 1440, height: 900 },
});

async function measure(name, act) {
  const taken = [];
  for (let round = 0; round < ROUNDS; round += 1) taken.push(await act());
  taken.sort((one, other) => one - other);
  const [median, worst] = [taken[Math.floor(ROUNDS / 2)], taken.at(-1)].map(Math.round);
  console.log(`${name.padEnd(14)} median ${median} ms   worst ${worst} ms`);
}

/** Until a frame with the row has been made. */
async function untilSeen(selector) {
  await page.waitForSelector(selector);
  return page.evaluate(
    () => new Promise((done) => requestAnimationFrame(() => done(performance.now()))),
  );
}

await measure("list is seen", async () => {
  await page.goto(`${url}/jobs`, { waitUntil: "commit" });
  return untilSeen(ROW);
});
await browser.close();
