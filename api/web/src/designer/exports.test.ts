import { expect, test } from "vitest";
import { exportsOf } from "./exports";

test("each export carries the file as it is", () => {
  const file = "type: command  # ü\ncommand: echo $HOME 'x'\n";
  const made = exportsOf(file, "http://h/p");
  expect(made.YAML).toBe(file);
  expect(made.Python).toContain(`r'''\n${file}'''`);
  // quoted, or the shell would fill in $HOME
  expect(made.curl).toContain(`<<'JOB'\n${file}JOB\n`);
  expect(made.curl).toContain("http://h/p/v1/jobs");
  expect(made.CLI).toContain(file);
});
