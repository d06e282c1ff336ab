/**
 * Put `text` on the clipboard. Rejects where the browser lets no page do that.
 *
 * Browsers keep `navigator.clipboard` from pages that came over plain http from another machine.
 */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const put = (event: ClipboardEvent) => {
    event.clipboardData?.setData("text/plain", text);
    event.preventDefault();
  };
  document.addEventListener("copy", put, { once: true });
  try {
    if (!document.execCommand("copy")) throw new Error("The browser copied nothing.");
  } finally {
    document.removeEventListener("copy", put);
  }
}
