import { Link } from "@tanstack/react-router";

/** A data version or a model by its address, with a link where it has a page. */
export function Named({ uri }: { uri: string }) {
  const [, data, dataVersion] = /^(?:mlq|azureml):([^:@]+)[:@](\d+)?/.exec(uri) ?? [];
  if (data)
    return (
      <Link to="/data/$name" params={{ name: data }} search={{ version: versionOf(dataVersion) }}>
        {uri}
      </Link>
    );
  const [, model, modelVersion] = /^models:\/([^/@]+)(?:\/(\d+))?/.exec(uri) ?? [];
  if (model)
    return (
      <Link
        to="/models/$name"
        params={{ name: model }}
        search={{ version: versionOf(modelVersion) }}
      >
        {uri}
      </Link>
    );
  return <>{uri}</>;
}

function versionOf(digits: string | undefined): number | undefined {
  return digits ? Number(digits) : undefined;
}
