// Drives pages in one Chromium: a command in each line of standard input, its answer in a line of standard output.
//
//   CHROMIUM=/usr/bin/chromium PROFILES=/tmp/… node driver.mjs
//
// A command is {"do": name, "page": name, …}, an answer {"result": …} or {"problem": text}.

import { createInterface } from "node:readline";

import readQr from "jsqr";
import { chromium } from "playwright-core";
import { PNG } from "pngjs";

const WAIT_MS = 15_000;
const ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu"];
const pages = new Map();

/** A page with a browser profile of its own, and everything it says to anybody. */
async function open({ page: name, url }) {
  const context = await chromium.launchPersistentContext(`${process.env.PROFILES}/${name}`, {
    executablePath: process.env.CHROMIUM, args: ARGUMENTS, headless: true,
  });
  const page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(WAIT_MS);
  const said = [];
  const problems = [];
  context.on("request", (request) => said.push(`${request.url()} ${request.postData() ?? ""}`));
  page.on("websocket", (socket) => {
    said.push(socket.url());
    socket.on("framesent", ({ payload }) => said.push(String(payload)));
  });
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("dialog", (dialog) => dialog.accept());
  pages.set(name, { page, context, said, problems, headers: (await page.goto(url)).headers() });
}

async function run({ do: action, page: name, selector, text, ...rest }) {
  if (action === "open") return open({ page: name, ...rest });
  const { page, context, said, problems, headers } = pages.get(name);
  const target = selector && page.locator(selector);
  switch (action) {
    case "close": return context.close();
    case "reload": await page.reload(); return null;
    case "fill": return target.fill(text);
    case "press": return page.keyboard.press(text);
    case "click": return target.click();
    case "text": return target.innerText();
    case "texts": return target.allInnerTexts();
    case "isShown": return target.isVisible();
    case "wait": await page.locator(selector, text === undefined ? {} : { hasText: text }).first().waitFor(); return null;
    case "evaluate": return page.evaluate(`(async () => (${text}))()`);
    case "readQr": {
      const { data, width, height } = PNG.sync.read(await target.screenshot());
      return readQr(new Uint8ClampedArray(data), width, height)?.data ?? null;
    }
    case "freezeClock": await page.clock.install(); return null;
    case "passTime": await page.clock.fastForward(rest.seconds * 1000); return null;
    case "changeAnswers": // of calls whose text holds `text`
      await page.route("**/rpc", async (route) => {
        if (!route.request().postData().includes(text)) return route.continue();
        const answer = await route.fetch();
        return route.fulfill({ response: answer, body: (await answer.text()).replaceAll(rest.from, rest.to) });
      });
      return null;
    case "leaveAnswers": await page.unroute("**/rpc"); return null;
    case "readSaid": return said;
    case "readProblems": return problems;
    case "readHeaders": return headers;
    default: throw new Error(`no such action: ${action}`);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log(JSON.stringify({ result: (await run(JSON.parse(line))) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ problem: String(error) }));
  }
}
for (const { context } of pages.values()) await context.close();
