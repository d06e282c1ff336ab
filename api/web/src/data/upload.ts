import { client, type DataVersion, take } from "../api/client";

/** Store a file as a dataset's next version; identical bytes are the version that they were. */
export function addVersion(
  name: string,
  { bytes, fileName, description }: { bytes: Blob; fileName: string; description: string },
): Promise<DataVersion> {
  return take(
    client.POST("/v1/data/{name}/versions", {
      params: { path: { name }, query: { filename: fileName, description } },
      body: bytes as never,
      bodySerializer: (body: unknown) => body as Blob,
      headers: { "content-type": "application/octet-stream" },
    }),
  );
}
