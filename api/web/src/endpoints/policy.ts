/** A stage of a rollout: copies of so many percent of the requests, or so many percent answered. */
export interface Stage {
  kind: "mirror" | "canary";
  percent: number;
  bake_s: number;
}

/** A policy as the server has it. */
export interface Policy {
  mirror?: { percent: number; bake_s: number };
  canary?: { percent: number; bake_s: number }[];
  abort?: {
    error_rate?: number | null;
    p95_ms?: number | null;
    p95_ratio?: number | null;
    prediction_psi?: number | null;
    min_requests?: number;
    metrics?: Record<string, { min?: number; max?: number }>;
  };
}

/** The stages of a policy in their order. */
export function stagesOf({ mirror, canary }: Policy): Stage[] {
  return [
    ...(mirror ? [{ kind: "mirror" as const, ...mirror }] : []),
    ...(canary ?? []).map((one) => ({ kind: "canary" as const, ...one })),
  ];
}

/** What ends a rollout, in words. */
export function abortWords({ abort = {} }: Policy): string {
  const rules = [
    abort.error_rate != null && `over ${abort.error_rate * 100} % fail`,
    abort.p95_ms != null && `p95 is over ${abort.p95_ms} ms`,
    abort.p95_ratio != null && `p95 is over ${abort.p95_ratio} times the present one`,
    abort.prediction_psi != null && `the PSI of its predictions is over ${abort.prediction_psi}`,
    ...Object.entries(abort.metrics ?? {}).flatMap(([name, { min, max }]) => [
      min != null && `its ${name} is below ${min}`,
      max != null && `its ${name} is over ${max}`,
    ]),
  ].filter(Boolean);
  if (rules.length === 0) return "Nothing ends it by itself.";
  const least = abort.min_requests
    ? ` A stage passes with ${abort.min_requests} requests or more.`
    : "";
  return `Taken back by itself where ${rules.join(", or ")}.${least}`;
}

/** A policy as a form has it: `5:300, 50:300` is 5 %, then 50 %, for 300 s each. */
export interface PolicyForm {
  mirror: string;
  canary: string;
  errorRate: string;
  p95Ratio: string;
  predictionPsi: string;
  minRequests: string;
}

export const BLANK_POLICY: PolicyForm = {
  mirror: "100:60",
  canary: "5:300, 50:300",
  errorRate: "2",
  p95Ratio: "2",
  predictionPsi: "",
  minRequests: "20",
};

function stagesIn(text: string): { percent: number; bake_s: number }[] {
  return text
    .split(/[\s,]+/)
    .filter(Boolean)
    .map((word) => {
      const found = /^(\d+)%?(?::(\d+)s?)?$/.exec(word);
      if (!found) throw new Error(`'${word}' is no stage: write PERCENT:SECONDS, such as 5:300.`);
      return { percent: Number(found[1]), bake_s: Number(found[2] ?? 300) };
    });
}

/** The policy that a form means. Raises Error naming the word that makes no sense. */
export function policyOf(form: PolicyForm): Policy {
  const [mirror, ...more] = stagesIn(form.mirror);
  if (more.length > 0) throw new Error("There is one stage of copies, or none.");
  const canary = stagesIn(form.canary);
  const number = (text: string, what: string) => {
    if (text.trim() === "") return undefined;
    if (!Number.isFinite(Number(text))) throw new Error(`${what}: '${text}' is no number.`);
    return Number(text);
  };
  const percent = number(form.errorRate, "Errors");
  const ratio = number(form.p95Ratio, "p95");
  const psi = number(form.predictionPsi, "PSI");
  const least = number(form.minRequests, "Requests");
  return {
    ...(mirror && { mirror }),
    ...(canary.length > 0 && { canary }),
    abort: {
      ...(percent !== undefined && { error_rate: percent / 100 }),
      ...(ratio !== undefined && { p95_ratio: ratio }),
      ...(psi !== undefined && { prediction_psi: psi }),
      ...(least !== undefined && { min_requests: least }),
    },
  };
}
