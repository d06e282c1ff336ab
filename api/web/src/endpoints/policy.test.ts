import { expect, test } from "vitest";
import { abortWords, BLANK_POLICY, policyOf, stagesOf } from "./policy";

test("the form's words are a policy, and its stages come in order", () => {
  const policy = policyOf({ ...BLANK_POLICY, canary: "5, 50%:60s" });
  expect(policy).toEqual({
    mirror: { percent: 100, bake_s: 60 },
    canary: [
      { percent: 5, bake_s: 300 },
      { percent: 50, bake_s: 60 },
    ],
    abort: { error_rate: 0.02, p95_ratio: 2, min_requests: 20 },
  });
  expect(stagesOf(policy).map(({ kind, percent }) => `${kind} ${percent}`)).toEqual([
    "mirror 100",
    "canary 5",
    "canary 50",
  ]);
});

test("what is left empty is left out", () => {
  expect(
    policyOf({
      ...BLANK_POLICY,
      mirror: "",
      canary: "10:5",
      errorRate: "",
      p95Ratio: "",
      minRequests: "",
    }),
  ).toEqual({ canary: [{ percent: 10, bake_s: 5 }], abort: {} });
});

test("predictions that move end a rollout", () => {
  const { abort } = policyOf({ ...BLANK_POLICY, predictionPsi: "0.25" });
  expect(abort).toMatchObject({ prediction_psi: 0.25 });
});

test("a word that is no stage is named", () => {
  expect(() => policyOf({ ...BLANK_POLICY, canary: "5:300, half" })).toThrow("'half' is no stage");
});

test("what ends a rollout is said", () => {
  expect(abortWords({ abort: { error_rate: 0.01, p95_ratio: 2, min_requests: 20 } })).toBe(
    "Taken back by itself where over 1 % fail, or p95 is over 2 times the present one. " +
      "A stage passes with 20 requests or more.",
  );
  expect(abortWords({ abort: {} })).toBe("Nothing ends it by itself.");
});
