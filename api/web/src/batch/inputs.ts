/** An input that an invocation may give. given: what it is where nothing is given. */
export interface Port {
  name: string;
  type: string;
  given?: string;
  isOptional: boolean;
}

/** Inputs as a pipeline declares them, those that must be given first. */
export function portsOf(inputs: Readonly<Record<string, unknown>>): Port[] {
  const ports = Object.entries(inputs).map(([name, raw]): Port => {
    if (typeof raw !== "object" || raw === null) {
      return { name, type: typeof raw, given: String(raw), isOptional: true };
    }
    const { type, default: value, path, optional } = raw as Record<string, unknown>;
    const given = value ?? path;
    return {
      name,
      type: typeof type === "string" ? type : "string",
      given: given === undefined ? undefined : String(given),
      isOptional: optional === true,
    };
  });
  const isFree = (port: Port) => port.given !== undefined || port.isOptional;
  return ports.toSorted((one, other) => Number(isFree(one)) - Number(isFree(other)));
}

const NUMBERS = new Set(["number", "integer"]);

/** What was typed, in the types of the ports; what was left empty is left out. */
export function inputsOf(
  ports: readonly Port[],
  values: Readonly<Record<string, string>>,
): Record<string, string | number | boolean> {
  return Object.fromEntries(
    ports.flatMap(({ name, type }): [string, string | number | boolean][] => {
      const value = values[name] ?? "";
      if (value === "") return [];
      if (NUMBERS.has(type) && Number.isFinite(Number(value))) return [[name, Number(value)]];
      if (type === "boolean" && (value === "true" || value === "false")) {
        return [[name, value === "true"]];
      }
      return [[name, value]];
    }),
  );
}
