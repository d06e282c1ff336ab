/** A job file as programs in other languages submit it. base: address of the server. */
export function exportsOf(
  text: string,
  base: string,
): Record<"YAML" | "Python" | "curl" | "CLI", string> {
  return {
    YAML: text,
    Python: [
      "import os",
      "",
      "from mlq.client import Client",
      "",
      `JOB = ${text.includes("'''") ? JSON.stringify(text) : `r'''\n${text}'''`}`,
      "",
      `with Client(${JSON.stringify(base)}, os.environ["MLQ_TOKEN"]) as client:`,
      '    print(client.jobs.create(JOB)["id"])',
      "",
    ].join("\n"),
    curl: [
      `curl --fail-with-body ${base}/v1/jobs \\`,
      '  -H "Authorization: Bearer $MLQ_TOKEN" -H "Content-Type: application/yaml" \\',
      "  --data-binary @- <<'JOB'",
      `${text.trimEnd()}`,
      "JOB",
      "",
    ].join("\n"),
    CLI: `cat > job.yml <<'JOB'\n${text.trimEnd()}\nJOB\nmlq job create -f job.yml --stream\n`,
  };
}
