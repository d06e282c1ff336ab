/** `traffic` with one share set; the others keep their proportions, and all add up to 100. */
export function shareOut(
  traffic: Readonly<Record<string, number>>,
  name: string,
  percent: number,
): Record<string, number> {
  const others = Object.keys(traffic).filter((one) => one !== name);
  if (others.length === 0) return { [name]: 100 };
  const left = 100 - percent;
  const before = others.reduce((sum, one) => sum + (traffic[one] ?? 0), 0);
  const shares = others.map((one) =>
    Math.floor(before > 0 ? ((traffic[one] ?? 0) / before) * left : left / others.length),
  );
  let rest = left - shares.reduce((sum, share) => sum + share, 0);
  const result: Record<string, number> = { ...traffic, [name]: percent };
  others.forEach((one, index) => {
    const extra = rest > 0 && (before === 0 || (traffic[one] ?? 0) > 0) ? 1 : 0;
    rest -= extra;
    result[one] = (shares[index] ?? 0) + extra;
  });
  return result;
}
