// Visits the pages of a running service with Chromium, and writes what is wrong with them as JSON:
//
//     node walk.mjs CHROMIUM PAGES SPANS LATER VISIT [FOLDER]
//
// PAGES and SPANS are addresses of the service, LATER is a file of spans (OTLP, JSON) to be posted while a page is watched, and
// VISIT are paths, with commas between, of pages to be visited besides. With FOLDER, each page is put there as a picture.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [executablePath, base, spans, later, visit, folder] = process.argv.slice(2);
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const wrong = [];
const complain = (page, what) => wrong.push(`${page}: ${what}`);

const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

/** A page that complains of everything a browser complains of, and of each request that goes elsewhere. */
async function open(options) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  const at = () => `${page.url().slice(base.length) || "/"} (${JSON.stringify(options)})`;
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complain(at(), message.text());
  });
  page.on("pageerror", (error) => complain(at(), `script: ${error.message}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(base)) complain(at(), `asks elsewhere: ${request.url()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) complain(at(), `${response.status()} for ${response.url()}`);
  });
  return page;
}

/** The kind of a page: its path without ids, and what of its question makes it look different. */
function kind(path) {
  const url = new URL(path, base);
  if (url.pathname.startsWith("/traces/")) return "/traces/{id}";
  if (url.pathname.startsWith("/findings/")) return "/findings/{id}";
  const asked = [...url.searchParams.keys()];
  return url.pathname + ["period", "service", "principal", "cursor"].filter((one) => asked.includes(one)).map((one) => `?${one}`).join("");
}

/** Every link of every page is followed, without a browser; of each kind some are kept for it. */
async function crawl() {
  const [waiting, known, kinds] = [["/"], new Set(["/"]), new Map()];
  let slowest = { took: 0 };
  while (waiting.length > 0 && known.size < 3000) {
    const path = waiting.shift();
    const begun = performance.now();
    const answer = await fetch(base + path);
    const text = await answer.text();
    const took = performance.now() - begun;
    if (took > slowest.took) slowest = { path, took };
    if (answer.status !== 200) complain(path, `answers ${answer.status}`);
    if (!answer.headers.get("content-type").startsWith("text/html")) continue;
    const of = kind(path);
    kinds.set(of, [...(kinds.get(of) ?? []), path]);
    for (const [, href] of text.matchAll(/ href="([^"#]*)/g)) {
      const link = href.replaceAll("&amp;", "&");
      if (link === "" || known.has(link)) continue;
      if (!link.startsWith("/")) complain(path, `leads elsewhere: ${link}`);
      known.add(link);
      waiting.push(link);
    }
  }
  return { followed: known.size, kinds, slowest };
}

async function accessible(page, path, scheme) {
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  for (const { id, help, nodes } of violations) {
    complain(path, `axe, ${scheme}: ${id}: ${help}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 200)).join(" | ")}`);
  }
  return passes.length;
}

/** What a click or a key should reach, and whether the key Tab does: the first of it, where that is much. */
async function reachable(page, path) {
  const most = 120;
  const wanted = await page.evaluate((most) => {
    const all = document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']");
    const shown = [...all].filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.closest("details:not([open]) > :not(summary)"));
    shown.slice(0, most).forEach((one, number) => one.setAttribute("data-number", number));
    document.activeElement?.blur();
    return Math.min(most, shown.length);
  }, most);
  const reached = new Set();
  for (let press = 0; press < wanted + 20 && reached.size < wanted; press += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => document.activeElement?.getAttribute("data-number"));
    if (at != null) reached.add(at);
  }
  if (reached.size < wanted) complain(path, `the keyboard reaches ${reached.size} of ${wanted}`);
  return reached.size;
}

/** Whether a drawing of hops can be read: boxes apart, as few as can be looked at, and no text that is small or cut in the middle of a letter. */
async function readable(page, path) {
  const { boxes, over, small, cut } = await page.evaluate(() => {
    const nodes = [...document.querySelectorAll("svg.hops a.node")];
    const places = nodes.map((node) => node.querySelector("rect.box").getBoundingClientRect());
    const over = places.filter((a, i) => places.slice(i + 1).some((b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom));
    const texts = nodes.flatMap((node) => [...node.querySelectorAll("svg > text")]);
    const small = texts.filter((text) => Number.parseFloat(getComputedStyle(text).fontSize) < 11);
    const cut = texts.filter((text) => text.getBoundingClientRect().right > text.closest("svg").getBoundingClientRect().right + 1);
    return { boxes: nodes.length, over: over.length, small: small.length, cut: cut.map((text) => text.textContent) };
  });
  if (boxes === 0 || boxes > 60) complain(path, `draws ${boxes} boxes`);
  if (over > 0) complain(path, `${over} boxes lie over others`);
  if (small > 0) complain(path, `${small} texts of the drawing are small`);
  if (cut.length > 0) complain(path, `texts of the drawing are cut: ${cut.slice(0, 3).join(" | ")}`);
}

async function picture(page, path, scheme, size) {
  if (!folder) return;
  const number = visits.indexOf(path);
  const name = `${number}${kind(path)}`.replaceAll(/[^a-z0-9]+/g, "-");
  await page.screenshot({ path: join(folder, `${name}-${scheme}-${size}.png`), fullPage: true });
}

const { followed, kinds, slowest } = await crawl();
// Traces that findings lead to come first; of the rest, what was asked for last.
const visits = [...kinds].map(([of, paths]) => paths.at(of.startsWith("/traces/") ? 0 : -1)).concat(visit.split(","));
let [checks, keys] = [0, 0];
for (const colorScheme of ["light", "dark"]) {
  const page = await open({ colorScheme });
  const phone = await open({ colorScheme, viewport: { width: 375, height: 740 } });
  for (const path of visits) {
    await page.goto(base + path);
    checks += await accessible(page, path, colorScheme);
    await picture(page, path, colorScheme, "desktop");
    if (path.startsWith("/traces/")) await readable(page, path);
    if (colorScheme === "light") keys += await reachable(page, path);
    await phone.goto(base + path);
    const over = await phone.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (over > 0) complain(path, `is ${over} pixels too wide for a phone`);
    await picture(phone, path, colorScheme, "phone");
  }
  await page.context().close();
  await phone.context().close();
}

// Without a script: pages say the same, and forms work.
const still = await open({ javaScriptEnabled: false });
for (const path of visits) {
  await still.goto(base + path);
  if (!(await still.locator("h1").isVisible())) complain(path, "shows nothing without a script");
}
await still.goto(`${base}/live`);
if (!(await still.getByText("Without JavaScript this page stands still").isVisible())) complain("/live", "does not say what to do without a script");
await still.goto(`${base}/findings`);
await still.getByLabel("Severity").selectOption("high");
await still.getByRole("button", { name: "Show" }).click();
await still.waitForURL(/severity=high/);
const shown = await still.locator("article.finding").count();
if (shown === 0 || shown !== (await still.locator("article .severity.s-high").count())) complain("/findings", "filters wrongly");
await still.getByRole("link", { name: /^The hop/ }).first().click();
await still.waitForURL(/\/traces\/[0-9a-f]{32}#s-[0-9a-f]{16}$/);
if ((await still.locator("tr:target").count()) !== 1) complain("/traces", "does not lead to the hop");
// What becomes of a finding is said by a form, and led back to; a page of another site cannot.
await still.goto(`${base}/findings`);
await still.getByRole("link", { name: /^This finding/ }).first().click();
await still.waitForURL(/\/findings\/[0-9a-f]{32}$/);
const finding = still.url();
await still.getByLabel("It is now").selectOption("resolved");
await still.getByLabel("Note").fill("mended <b>today</b>");
await still.getByRole("button", { name: "Save" }).click();
await still.getByText("mended <b>today</b>").first().waitFor({ timeout: 5000 }).catch(() => complain(finding, "does not keep what was said"));
if (still.url() !== finding || !(await still.locator("strong", { hasText: "resolved" }).first().isVisible())) complain(finding, "is not resolved");
const elsewhere = await browser.newContext({ javaScriptEnabled: false }).then((context) => context.newPage());
await elsewhere.setContent(`<form method="post" action="${finding}"><input name="state" value="open"><button>Win</button></form>`);
const answered = elsewhere.waitForResponse(finding, { timeout: 5000 });
await elsewhere.getByRole("button").click();
if ((await answered).status() !== 403) complain(finding, "takes a form of another site");

// With one: findings come in as they are committed.
const live = await open({});
await live.goto(`${base}/live`);
await live.getByText("Watching.").waitFor();
const before = await live.locator("#live li").first().getAttribute("data-id");
const posted = await fetch(`${spans}/v1/traces`, { method: "POST", headers: { "content-type": "application/json" }, body: await readFile(later) });
if (posted.status !== 200) complain("/live", `spans are answered with ${posted.status}`);
let came = true;
await live.waitForFunction((id) => document.querySelector("#live li")?.dataset.id !== id, before, { timeout: 30000 }).catch(() => (came = false));
if (!came) complain("/live", "nothing comes in");
checks += await accessible(live, "/live", "with findings that came in");
await live.getByRole("button", { name: "Pause" }).press("Enter");
await live.getByText("Paused.").waitFor();

await browser.close();
process.stdout.write(JSON.stringify({ followed, visited: visits.length, slowest, checks, keys, wrong }));
