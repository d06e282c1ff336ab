// A Chromium and what every test does with it.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** How long a fact may take to show: a deadline for failures, no measure of speed. */
const FACT_MS = 300_000;

export async function openBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox"],
  });
}

/** A context that is logged in, and its page at `path`. options: those of a context. */
export async function logIn(browser, server, path = "/", options = {}) {
  const context = await browser.newContext({ bypassCSP: true, ...options });
  context.setDefaultTimeout(FACT_MS);
  const page = await context.newPage();
  await page.goto(`${server.url}/login?next=${encodeURIComponent(path)}`);
  await page.fill("input[name=token]", server.token);
  await page.press("input[name=token]", "Enter");
  await page.waitForSelector("h1:not(:has-text('Log in'))");
  return { context, page };
}

/** Go to a page and wait until it has what it shows. */
export async function visit(page, url) {
  await page.goto(url);
  await page.waitForSelector("h1");
  await untilIdle(page);
}

/** Wait until no part of the page still loads. */
export async function untilIdle(page) {
  await page.waitForFunction(() => !document.querySelector("[aria-busy=true]"));
}

/** What axe finds serious or critical on the page as it is. */
export async function graveFindings(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes[0].html}`);
}
