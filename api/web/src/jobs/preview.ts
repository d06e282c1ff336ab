/** How a file can be shown, by its name. */
export type PreviewKind = "image" | "table" | "json" | "text" | "none";

const KINDS: Record<string, PreviewKind> = {
  png: "image",
  jpg: "image",
  jpeg: "image",
  gif: "image",
  webp: "image",
  svg: "image",
  csv: "table",
  tsv: "table",
  json: "json",
  txt: "text",
  md: "text",
  log: "text",
  yml: "text",
  yaml: "text",
  py: "text",
  MLmodel: "text",
  toml: "text",
  ini: "text",
  html: "text",
  xml: "text",
};

export function kindOf(name: string): PreviewKind {
  return KINDS[name.slice(name.lastIndexOf(".") + 1).replace(/^.*\//, "")] ?? "none";
}

/** The type that an image is shown as. */
export function imageType(name: string): string {
  const ending = name.slice(name.lastIndexOf(".") + 1);
  return `image/${ending === "svg" ? "svg+xml" : ending === "jpg" ? "jpeg" : ending}`;
}

/** Rows of a CSV text; quotes as RFC 4180 has them. The last row may be cut and is left out then. */
export function rowsOf(text: string, separator: string, isCut: boolean): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = "";
  let isQuoted = false;
  const endRow = () => {
    rows.push([...row, cell]);
    row = [];
    cell = "";
  };
  for (let index = 0; index < text.length; index += 1) {
    const letter = text[index]!;
    if (isQuoted) {
      if (letter !== '"') cell += letter;
      else if (text[index + 1] === '"') {
        cell += '"';
        index += 1;
      } else isQuoted = false;
    } else if (letter === '"') isQuoted = true;
    else if (letter === separator) {
      row.push(cell);
      cell = "";
    } else if (letter === "\n") endRow();
    else if (letter !== "\r") cell += letter;
  }
  if (!isCut && (cell || row.length > 0)) endRow();
  return rows;
}
