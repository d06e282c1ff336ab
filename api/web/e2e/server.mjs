// A real `mlq up` with the demo's data, for the tests beside this file.
import { execFile, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const MLQ = new URL("../../../.venv/bin/mlq", import.meta.url).pathname;
const STARTED_MS = 600_000;

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Start a server. demo: with the demo's models and jobs. url: its address; `stop` ends it. */
export async function startServer({ demo = true, env: more = {} } = {}) {
  const home = mkdtempSync(join(tmpdir(), "mlq-console-"));
  const port = await freePort();
  const env = { ...process.env, ...more, MLQ_HOME: home };
  const up = spawn(MLQ, ["up", "--port", String(port)], { env, stdio: "ignore" });
  const ended = new Promise((done) => up.once("exit", done));
  const stop = async () => {
    up.kill("SIGINT");
    await ended;
    rmSync(home, { recursive: true, force: true });
  };
  try {
    const url = `http://127.0.0.1:${port}`;
    await waitFor(async () => (await fetch(`${url}/readyz`)).ok);
    if (demo) await promisify(execFile)(MLQ, ["demo"], { env });
    const token = readFileSync(join(home, "token"), "utf8").trim();
    return {
      url,
      token,
      stop,
      ask: (path, init) => ask(url, token, path, init),
      killApi: () => killChild(up.pid, "mlq: api"),
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Kill the service of that name, one of those below process `parent`, which starts it anew. */
function killChild(parent, name) {
  const listed = execFileSync("ps", ["-o", "pid=,args=", "--ppid", String(parent)], {
    encoding: "utf8",
  });
  const line = listed.split("\n").find((one) => one.includes(name));
  if (!line) throw new Error(`No ${name} below ${parent}:\n${listed}`);
  process.kill(Number.parseInt(line, 10), "SIGKILL");
}

async function waitFor(isTrue) {
  const deadline = Date.now() + STARTED_MS;
  while (!(await isTrue().catch(() => false))) {
    if (Date.now() > deadline) throw new Error("mlq up did not become ready");
    await new Promise((done) => setTimeout(done, 200));
  }
}

async function ask(url, token, path, { type, body, method } = {}) {
  const headers = { authorization: `Bearer ${token}`, ...(type && { "content-type": type }) };
  const answer = await fetch(`${url}/v1/${path}`, {
    method: method ?? (body ? "POST" : "GET"),
    headers,
    body,
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? null : answer.json();
}
