/** One request to the API. path: below `/v1/`, with its query. */
export interface Call {
  path: string;
  /** The same as a command, without `mlq`; absent where there is none. */
  cli?: string;
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  body?: unknown;
}

/** A request as a shell, a program and curl make it. base: address of the server. */
export function callsOf(
  { path, cli, method = "GET", body }: Call,
  base: string,
): Partial<Record<"CLI" | "Python" | "curl", string>> {
  const address = `${base}/v1/${path}`;
  const json = body === undefined ? undefined : JSON.stringify(body);
  const flags = [
    method === "GET" ? "" : `-X ${method} `,
    '-H "Authorization: Bearer $MLQ_TOKEN" ',
    json === undefined ? "" : `-H "Content-Type: application/json" -d ${quoted(json)} `,
  ];
  const python = [
    "import json",
    "import os",
    "",
    "import httpx",
    "",
    "answer = httpx.request(",
    `    "${method}",`,
    `    ${JSON.stringify(address)},`,
    `    headers={"Authorization": f"Bearer {os.environ['MLQ_TOKEN']}"},`,
    json === undefined ? undefined : `    json=json.loads(${JSON.stringify(json)}),`,
    ")",
    "print(answer.raise_for_status().text)",
    "",
  ].filter((line) => line !== undefined && (json !== undefined || line !== "import json"));
  return {
    ...(cli && { CLI: `mlq ${cli}` }),
    Python: python.join("\n"),
    curl: `curl --fail-with-body ${flags.join("")}${quoted(address)}`,
  };
}

/** A word as a POSIX shell reads it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
