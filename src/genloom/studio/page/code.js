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

/**
 * The command.
 * @param {object} body Of POST /v1/generations. @param {Array<[string, string]>} files Fields that carry a file, with its name.
 * @param {boolean} local Whether no key is needed.
 */
export function asCurl(body, files, local) {
  const key = local ? "" : ` \\\n  -H "Authorization: Bearer $${KEY}"`;
  const head = `curl ${shell(`${location.origin}/v1/generations`)} \\\n  -H 'Content-Type: application/json'${key} \\\n  -d `;
  if (!files.length) return head + shell(visible(JSON.stringify(body)));
  // Too long for an argument: the body comes by the standard input, where the shell fills in the files.
  const still = visible(JSON.stringify(body)).replace(/[\\$`]/g, "\\$&");
  const parts = files.map(([field, name]) => `, "${field}": "$(base64 < ${name} | tr -d '\\n')"`);
  return `${head}@- <<END\n${still.slice(0, -1)}${parts.join("")}}\nEND`;
}

/** The program: OpenAI's client for pictures, the standard library for all else. */
export function asPython(body, kind, files, local) {
  return kind === "image" ? withClient(body, files, local) : withStandardLibrary(body, files, local);
}

/** Lines that read files in base64. */
const reading = (files) =>
  files
    .map(([field, name]) => `with open("${name}", "rb") as file:\n    ${field} = base64.b64encode(file.read()).decode()\n`)
    .join("");

/** A Python dict with those beside what it has. */
const joinedWith = (dict, files) => `${dict.slice(0, -1)}${files.map(([field]) => `, "${field}": ${field}`).join("")}}`;

function withClient({ model, label, prompt, negative_prompt, seed, strength, keep, options }, files, local) {
  const key = local ? `"none"` : `os.environ["${KEY}"]`;
  const more = { ...(negative_prompt && { negative_prompt }), ...(strength !== undefined && { strength }) };
  const plain = visible(python({ seed, ...more, ...(keep && { keep }), ...options }));
  return `import base64
${local ? "" : "import os\n"}
from openai import OpenAI

client = OpenAI(base_url=${python(`${location.origin}/v1`)}, api_key=${key})
${reading(files)}answer = client.images.generate(
    model=${visible(python(model))},
    prompt=${visible(python(prompt ?? label ?? ""))},
    n=1,
    extra_body=${joinedWith(plain, files)},
)
with open("picture.png", "wb") as file:
    file.write(base64.b64decode(answer.data[0].b64_json))
`;
}

function withStandardLibrary(body, files, local) {
  const key = local ? "" : `\n        "Authorization": f"Bearer {os.environ['${KEY}']}",`;
  return `${files.length ? "import base64\n" : ""}import json
${local ? "" : "import os\n"}import urllib.request

${reading(files)}body = ${joinedWith(visible(python(body)), files)}
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
