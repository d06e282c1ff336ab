export interface Scale {
  (value: number): number;
  domain: [number, number];
}

/** A linear map of `domain` onto `range`; a domain without width maps to the middle. */
export function linear(domain: [number, number], range: [number, number]): Scale {
  const [low, high] = domain;
  const [from, to] = range;
  const scale = (value: number) =>
    high === low ? (from + to) / 2 : from + ((value - low) / (high - low)) * (to - from);
  return Object.assign(scale, { domain });
}

/** Round numbers inside `domain`, about `count` of them. */
export function ticks([low, high]: [number, number], count: number): number[] {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  const found: number[] = [];
  for (let index = Math.ceil(low / step); index * step <= high; index += 1) {
    found.push(Number((index * step).toPrecision(12)));
  }
  return found;
}
