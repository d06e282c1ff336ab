/** An input or output as the Open Inference Protocol describes it. */
export interface Tensor {
  name: string;
  datatype: string;
  shape: number[];
}

/** A row of what was typed, in the types of the signature; what was left empty is null. */
export function rowOf(
  inputs: readonly Tensor[],
  values: Readonly<Record<string, string>>,
): Record<string, string | number | boolean | null> {
  return Object.fromEntries(
    inputs.map(({ name, datatype }) => {
      const value = values[name] ?? "";
      if (value === "") return [name, null];
      if (datatype === "BYTES") return [name, value];
      if (datatype === "BOOL") return [name, value === "true"];
      return [name, Number(value)];
    }),
  );
}
