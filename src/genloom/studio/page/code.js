// The same generation as a command or a program. Every value is quoted for the language it goes into.

/** For a POSIX shell: nothing inside single quotes is special but the quote itself. */
const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** A JSON value as a Python literal. */
function python(value) {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object")
    return `{${Object.entries(value)
      .map(([k, v]) => `${python(k)}: ${python(v)}`)
      .join(", ")}}`;
  return JSON.stringify(value);
}

/** Directions of writing and other invisible signs, told in escapes, so that code shows what it does. */
const visible = (text) =>
  text.replace(
    /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

const KEY = "GENLOOM_KEY"; // the environment variable that the reader keeps the key in

/** The command. @param {object} body Of POST /v1/generations. @param {boolean} local Whether no key is needed. */
export function asCurl(body, local) {
  const key = local ? "" : ` \\\n  -H "Authorization: Bearer $${KEY}"`;
  return `curl ${shell(`${location.origin}/v1/generations`)} \\\n  -H 'Content-Type: application/json'${key} \\\n  -d ${shell(visible(JSON.stringify(body)))}`;
}

/** The program: OpenAI's client for pictures, the standard library for all else. */
export function asPython(body, kind, local) {
  return kind === "image" ? withClient(body, local) : withStandardLibrary(body, local);
}

function withClient({ model, label, seed, options }, local) {
  const key = local ? `"none"` : `os.environ["${KEY}"]`;
  return `import base64
${local ? "" : "import os\n"}
from openai import OpenAI

client = OpenAI(base_url=${python(`${location.origin}/v1`)}, api_key=${key})
answer = client.images.generate(
    model=${visible(python(model))},
    prompt=${visible(python(label ?? ""))},
    n=1,
    extra_body=${visible(python({ seed, ...options }))},
)
with open("picture.png", "wb") as file:
    file.write(base64.b64decode(answer.data[0].b64_json))
`;
}

function withStandardLibrary(body, local) {
  const key = local ? "" : `\n        "Authorization": f"Bearer {os.environ['${KEY}']}",`;
  return `import json
${local ? "" : "import os\n"}import urllib.request

body = ${visible(python(body))}
request = urllib.request.Request(
    ${python(`${location.origin}/v1/generations`)},
    data=json.dumps(body).encode(),
    headers={
        "Content-Type": "application/json",${key}
    },
)
with urllib.request.urlopen(request) as answer:
    print(json.load(answer)["data"])
`;
}
