import { expect, test } from "vitest";
import { imageType, kindOf, rowsOf } from "./preview";

test("a file is shown by what its name says", () => {
  expect(["a/roc.png", "t.csv", "model/MLmodel", "x.parquet", "report.json"].map(kindOf)).toEqual([
    "image",
    "table",
    "text",
    "none",
    "json",
  ]);
  expect(imageType("a.svg")).toBe("image/svg+xml");
});

test("quoted cells keep separators, quotes and line ends", () => {
  expect(rowsOf('a,"b,""c""\n"\r\n1,\n', ",", false)).toEqual([
    ["a", 'b,"c"\n'],
    ["1", ""],
  ]);
});

test("of a file that was cut the last row is left out", () => {
  expect(rowsOf("a,b\n1,2\n3,", ",", true)).toEqual([
    ["a", "b"],
    ["1", "2"],
  ]);
  expect(rowsOf("a,b\n1,2", ",", false)).toHaveLength(2);
});
