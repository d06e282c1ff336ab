// Every page, light and dark, wide and narrow: nothing that axe finds serious, nothing too wide.
// The pictures are in ../shots; look at them. CONSOLE_PAGES=job,model takes only those.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { graveFindings, logIn, openBrowser, untilIdle, visit } from "./browser.mjs";
import { fill, pagesOf } from "./filled.mjs";
import { startServer } from "./server.mjs";

const SHOTS = new URL("../shots/", import.meta.url).pathname;
const WANTED = process.env.CONSOLE_PAGES?.split(",");

let server;
let browser;
let pages;

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  server = await startServer();
  pages = pagesOf(await fill(server));
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

for (const colorScheme of ["light", "dark"]) {
  for (const width of [1440, 390]) {
    test(`every page is sound, ${colorScheme}, ${width} px wide`, async () => {
      const { context, page } = await logIn(browser, server, "/", {
        colorScheme,
        viewport: { width, height: 900 },
        reducedMotion: "reduce",
      });
      const findings = [];
      const note = (name, words) => findings.push(`${name}: ${words}`);
      let shown = "";
      page.on("pageerror", (error) => note(shown, error.message));
      for (const [name, path] of Object.entries(pages)) {
        if (WANTED && !WANTED.includes(name)) continue;
        shown = name;
        await visit(page, `${server.url}/${path}`);
        await page.waitForTimeout(300); // diagrams find their place, and parts ask for what they show
        await untilIdle(page);
        await page.screenshot({
          path: `${SHOTS}${name}-${colorScheme}-${width}.png`,
          fullPage: true,
        });
        for (const finding of await graveFindings(page)) note(name, finding);
        const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (excess > 0) note(name, `${excess} px too wide`);
      }
      await context.close();
      assert.deepEqual(findings, []);
    });
  }
}
