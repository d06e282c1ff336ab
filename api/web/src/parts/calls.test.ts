import { expect, test } from "vitest";
import { callsOf, quoted } from "./calls";

test("a page of a list is a command, a program and a line of curl", () => {
  const calls = callsOf({ path: "jobs?state=failed", cli: "job list" }, "http://one:8420/mlq");
  expect(calls.CLI).toBe("mlq job list");
  expect(calls.curl).toBe(
    `curl --fail-with-body -H "Authorization: Bearer $MLQ_TOKEN" 'http://one:8420/mlq/v1/jobs?state=failed'`,
  );
  expect(calls.Python).toContain('"http://one:8420/mlq/v1/jobs?state=failed"');
  expect(calls.Python).not.toContain("json");
});

test("a change has its body, whatever quotes are in it", () => {
  const calls = callsOf(
    { path: "models/a/rollback", method: "POST", body: { reason: 'it\'s "bad"' } },
    "http://one",
  );
  expect(calls.CLI).toBeUndefined();
  expect(calls.curl).toContain(`-d '{"reason":"it'\\''s \\"bad\\""}'`);
  expect(calls.Python).toContain(`json.loads("{\\"reason\\":\\"it's \\\\\\"bad\\\\\\"\\"}")`);
});

test("words that a shell would take apart are quoted", () => {
  expect([quoted("churn-1"), quoted("two words")]).toEqual(["churn-1", "'two words'"]);
});
