import type { AliasMove, ModelVersion } from "../api/client";

/** Names of the metrics that versions have, those that most have first. */
export function metricNames(versions: readonly ModelVersion[]): string[] {
  const counts = new Map<string, number>();
  for (const version of versions) {
    for (const name of Object.keys(version.metrics)) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].sort(([, one], [, other]) => other - one).map(([name]) => name);
}

/** The metric to open with: the one that the newest gate compared by, else the first. */
export function leadingMetric(versions: readonly ModelVersion[]): string | undefined {
  for (const version of versions) {
    const report = version.report as { comparison?: { metric?: string } };
    const name = report.comparison?.metric;
    if (name && name in version.metrics) return name;
  }
  return metricNames(versions)[0];
}

/** [version, value] of one metric, oldest first; versions without it are left out. */
export function trend(versions: readonly ModelVersion[], metric: string): [number, number][] {
  return versions
    .flatMap((one): [number, number][] => {
      const value = one.metrics[metric];
      return typeof value === "number" ? [[one.version, value]] : [];
    })
    .sort(([one], [other]) => one - other);
}

/** Versions that were measured on other rows than the one before, and so do not compare with it. */
export function breaksOf(versions: readonly ModelVersion[], metric: string): Set<number> {
  const rows = new Map(
    versions.map((one) => [one.version, (one.report as { data?: string }).data]),
  );
  const found = new Set<number>();
  trend(versions, metric).reduce<number | undefined>((before, [version]) => {
    const [old, now] = [before === undefined ? undefined : rows.get(before), rows.get(version)];
    if (old && now && old !== now) found.add(version);
    return version;
  }, undefined);
  return found;
}

/** Whether less is better, as the newest report that knows says. */
export function isMinimized(versions: readonly ModelVersion[], metric: string): boolean {
  for (const version of versions) {
    const { directions } = version.report as { directions?: Record<string, string> };
    if (directions?.[metric]) return directions[metric] === "minimize";
  }
  return false;
}

/** What an alias has been, oldest first, without what was rolled back; null: not there. */
export function aliasStack(moves: readonly AliasMove[], alias: string): (number | null)[] {
  const stack: (number | null)[] = [null];
  for (const move of moves.toReversed()) {
    if (move.alias !== alias) continue;
    const version = move.version ?? null;
    const place = move.act === "rollback" ? stack.slice(0, -1).lastIndexOf(version) : -1;
    if (place >= 0) stack.length = place + 1;
    else stack.push(version);
  }
  return stack;
}

/**
 * Where a rollback of `alias` leads: what it was before its last move that still stands.
 *
 * moves: newest first. The server has the same rule; this shows what it will do before it does.
 */
export function rollbackTarget(moves: readonly AliasMove[], alias: string): number | undefined {
  return aliasStack(moves, alias).at(-2) ?? undefined;
}

/** All versions that a rollback of `alias` may lead to. */
export function rollbackTargets(moves: readonly AliasMove[], alias: string): Set<number> {
  const stack = aliasStack(moves, alias);
  const current = stack.pop();
  return new Set(stack.filter((version) => version !== null && version !== current) as number[]);
}
